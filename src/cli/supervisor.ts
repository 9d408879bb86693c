import type { ControlClient } from '../control/client.ts';
import { connectIfRunning } from '../daemon/find.ts';
import { cleanLine } from '../model/clean.ts';
import type { Caller } from '../model/request.ts';
import type { StatusSnapshot, TunnelStatus } from '../model/status.ts';
import type { Context } from './context.ts';

/** Runs `use` with a line to the supervisor, started where none runs; hangs up afterwards. */
export async function withSupervisor<T>(context: Context, use: (client: ControlClient) => Promise<T>): Promise<T> {
  const { connectOrSpawn } = await import('../daemon/spawn.ts'); // most verbs start nothing
  const { client } = await connectOrSpawn(context.paths, context.version);
  return lent(client, context, use);
}

/** As `withSupervisor`, but starts nothing: `use` gets undefined where none runs. */
export async function withSupervisorIfRunning<T>(
  context: Context,
  use: (client: ControlClient | undefined) => Promise<T>,
): Promise<T> {
  const client = await connectIfRunning(context.paths, context.version);
  return client === undefined ? use(undefined) : lent(client, context, use);
}

async function lent<T>(
  client: ControlClient,
  context: Context,
  use: (client: ControlClient) => Promise<T>,
): Promise<T> {
  try {
    const theirs = client.supervisor?.version;
    if (theirs !== undefined && theirs !== context.version) {
      const versions = `The supervisor is of version ${cleanLine(theirs)}, this command of ${context.version}`;
      context.out.say(`${versions}: \`tunnel daemon restart\` brings them together.`);
    }
    return await use(client);
  } finally {
    client.close();
  }
}

/** Where names are resolved from, and the agent that logs in. */
export function callerOf({ cwd, env }: Context): Caller {
  const authSock = env['SSH_AUTH_SOCK'];
  return { cwd, ...(authSock === undefined || authSock === '' ? {} : { authSock }) };
}

/** What runs now; no supervisor is an empty snapshot. */
export async function snapshotOf(client: ControlClient | undefined, signal: AbortSignal): Promise<StatusSnapshot> {
  return client === undefined ? { version: 1, supervisor: null, tunnels: [] } : client.call('status', {}, signal);
}

/** One line on a terminal for each tunnel that waits for somebody, so that the person at hand learns of it. */
export function mentionWaiting(tunnels: readonly Pick<TunnelStatus, 'name' | 'state'>[], context: Context): void {
  const waiting = tunnels.filter(({ state }) => state === 'waiting');
  if (waiting.length === 0 || !context.interactive) return;
  for (const { name } of waiting) context.out.say(`${cleanLine(name)} waits for an answer: tunnel answer`);
}
