import type { ControlClient } from '../../control/client.ts';
import { talkPop3 } from '../../demo/pop3-conversation.ts';
import { PROFILE, type Stage } from '../../demo/stage.ts';
import { TunnelError } from '../../model/failure.ts';
import type { TunnelStatus } from '../../model/status.ts';
import type { Context } from '../context.ts';
import { openFeed, type StatusFeed } from '../feed.ts';

const FETCH = ['USER you', 'PASS anything', 'STAT', 'RETR 1', 'QUIT'];
const LOOK_AGAIN = ['USER you', 'PASS anything', 'LIST', 'QUIT'];
/** Both servers are in this process: seconds are plenty. */
const UP_WITHIN_MS = 15_000;

/** Shows a tunnel at work, and the same tunnel when its SSH connection is cut. Rejects where either does not work. */
export async function playStory(stage: Stage, client: ControlClient, context: Context): Promise<void> {
  const { out, json, signal } = context;
  const { strong, dim, good, bad } = out.theme;
  const tell = (text: string): void => (json ? undefined : out.data(text));
  tell(`${strong('An SSH server and a POP3 server')} run inside this process, for as long as the demo lasts.`);
  tell(`The profile ${strong(PROFILE)} leads from here to there:\n`);
  tell(dim(indent(stage.profileText)));

  const feed = await openFeed(client, signal);
  tell(strong(`$ tunnel up ${PROFILE}`));
  await client.call('up', { select: { names: [PROFILE] }, caller: { cwd: stage.home }, attend: false }, signal);
  const port = portOf(await whenUp(feed, 0, signal));
  tell(`  ${good('up')}  localhost:${port} -> pop.example.org:110\n`);

  tell(strong(`A mail client talks to localhost:${port}`) + dim('  (C: client, S: server)'));
  await talkPop3(port, FETCH, (who, line) => tell(spoken(who, line)), signal);

  tell(`\n${strong('Now the SSH connection is cut')}, and the mail client comes again at once:`);
  let told = 'up';
  const stopTelling = feed.onEvent((event) => {
    if (event.event !== 'tunnel' || event.status.state === told) return;
    told = event.status.state;
    if (told !== 'up') {
      tell(dim(`  -- ${PROFILE} is ${told}; localhost:${port} stays open, and the client is held`));
    }
  });
  stage.cut();
  const cutAtMs = performance.now();
  let heldMs: number | undefined;
  await talkPop3(
    port,
    LOOK_AGAIN,
    (who, line) => {
      heldMs ??= performance.now() - cutAtMs;
      tell(spoken(who, line));
    },
    signal,
  );
  stopTelling();
  const { reconnects } = await whenUp(feed, 1, signal);
  const waitedMs = Math.round(heldMs ?? 0);
  tell(`\n${good('Served')} ${waitedMs} ms after ${bad('the cut')}, over a new SSH connection.`);
  if (json) out.json({ version: 1, profile: PROFILE, port, reconnects, servedAfterMs: waitedMs });
  else tell(ending(port, context));
}

function ending(port: number, { interactive, out }: Context): string {
  const { strong } = out.theme;
  const next = `\nFor a server of your own: ${strong('tunnel new')}`;
  if (!interactive) return next;
  return [
    `\nThe tunnel stays up until ${strong('Ctrl-C')}. Try it with your own mail client, as a new POP3 account:\n`,
    `  Server     ${strong('localhost')}`,
    `  Port       ${strong(String(port))}`,
    '  Security   none (SSH encrypts the way)',
    '  User name  anything',
    '  Password   anything',
    next,
  ].join('\n');
}

function spoken(who: 'client' | 'server', line: string): string {
  return who === 'client' ? `  C: ${line}` : `  S: ${line}`;
}

/** Resolves once the tunnel is up, after so many reconnects at least; rejects with its failure, or TIMED_OUT. */
function whenUp(feed: StatusFeed, reconnects: number, signal: AbortSignal): Promise<TunnelStatus> {
  return new Promise((resolve, reject) => {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(UP_WITHIN_MS)]);
    const end = (settle: () => void): void => {
      stop();
      deadline.removeEventListener('abort', late);
      settle();
    };
    const look = (): void => {
      const tunnel = feed.tunnels.get(PROFILE);
      if (tunnel?.state === 'up' && tunnel.reconnects >= reconnects) end(() => resolve(tunnel));
      if (tunnel?.state === 'failed' || tunnel?.state === 'waiting') end(() => reject(failureOf(tunnel)));
    };
    const late = (): void => {
      const tunnel = feed.tunnels.get(PROFILE);
      end(() => reject(signal.aborted ? (signal.reason as Error) : failureOf(tunnel)));
    };
    const stop = feed.onEvent(look);
    deadline.addEventListener('abort', late);
    if (deadline.aborted) late();
    else look();
  });
}

function failureOf(tunnel: TunnelStatus | undefined): TunnelError {
  const error = tunnel?.lastError ?? tunnel?.forwards[0]?.lastError;
  if (error !== undefined && error !== null) return new TunnelError(error.code, error.message, { hint: error.hint });
  return new TunnelError('TIMED_OUT', `Cannot bring ${PROFILE} up: it is not up after ${UP_WITHIN_MS / 1000} s`);
}

/** The port that is really bound stands at the end of `bind`. */
function portOf({ forwards }: TunnelStatus): number {
  const port = Number(/:(\d+)$/.exec(forwards[0]?.bind ?? '')?.[1]);
  if (Number.isInteger(port)) return port;
  throw new TunnelError('INTERNAL', `Cannot read the port of ${PROFILE}: ${forwards[0]?.bind ?? 'no forward'}`);
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}
