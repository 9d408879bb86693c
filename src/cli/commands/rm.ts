import { removeProfile, type ProfileFile } from '../../files/profiles.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { isRunning, profileOf } from '../profiles/profile-file.ts';
import { askYesNo } from '../prompts.ts';
import { callerOf, withSupervisorIfRunning } from '../supervisor.ts';

/** How long open connections may go on under --down, as `tunnel down` has it. */
const DRAIN_MS = 10_000;

/** `tunnel rm NAME`: deletes the file; never one whose tunnel runs, unless it may be taken down. */
export const run: Run = async ([argument = ''], options, context) => {
  const profile = await profileOf(argument, context);
  const running = await isRunning(profile.name, context);
  if (running && !options.flag('down')) {
    throw new TunnelError('USAGE', `Cannot remove ${profile.name}: it is running`, {
      hint: `Stop it with \`tunnel down ${profile.name}\`, or add --down.`,
    });
  }
  if (!(await confirmed(profile, options, context))) return context.out.say('Nothing was removed.');
  if (running) await takeDown(profile.name, context);
  await removeProfile(profile.file);
  if (context.json) context.out.json({ version: 1, name: profile.name, file: profile.file, removed: true });
  else context.out.say(`Removed ${profile.file}.`);
};

async function confirmed({ name, file }: ProfileFile, options: Options, context: Context): Promise<boolean> {
  if (options.flag('yes')) return true;
  if (!context.interactive) {
    throw new TunnelError('USAGE', `Cannot ask whether to remove ${name}: this is no terminal`, {
      hint: 'Say so with --yes.',
    });
  }
  return askYesNo(`Remove ${file}?`, false, context.signal);
}

function takeDown(name: string, context: Context): Promise<void> {
  return withSupervisorIfRunning(context, async (client) => {
    const params = { select: { names: [name] }, drainMs: DRAIN_MS, caller: callerOf(context) };
    await client?.call('down', params, context.signal);
  });
}
