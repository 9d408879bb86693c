import type { ControlClient } from '../../control/client.ts';
import { connectOrSpawn } from '../../daemon/spawn.ts';
import { openStage, PROFILE } from '../../demo/stage.ts';
import { appPaths, pathFacts } from '../../files/paths.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { endSupervisor, killSupervisorNow } from '../demo/demo-end.ts';
import { playStory } from '../demo/demo-story.ts';

/** `tunnel demo`: everything real but the two servers, in a home that is gone afterwards, however it ends. */
export const run: Run = async (_args, _options, context) => {
  const stage = await openStage(process.env);
  let pid: number | undefined;
  // For a second Ctrl-C, which waits for nobody.
  const lastResort = (): void => {
    killSupervisorNow(pid);
    stage.wipe();
  };
  process.once('exit', lastResort);
  try {
    const paths = appPaths(pathFacts(stage.env));
    const { client } = await connectOrSpawn(paths, context.version, { env: stage.env });
    pid = client.supervisor?.pid;
    try {
      await playStory(stage, client, context);
      await stay(client, context);
    } finally {
      await endSupervisor(client, PROFILE);
    }
  } finally {
    await stage.close();
    process.off('exit', lastResort);
  }
};

/** On a terminal the tunnel stays for the person's own mail client, and Ctrl-C is the way it is meant to end. */
async function stay(client: ControlClient, { interactive, json, signal, out }: Context): Promise<void> {
  if (!interactive || json || signal.aborted) return;
  const asked = new Promise<undefined>((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const lost = await Promise.race([asked, client.closed]);
  if (lost !== undefined) throw lost;
  out.say('\nEnding: the tunnel, both servers and the temporary folder go.');
}
