import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import { didYouMean } from '../../model/nearest.ts';
import type { ForwardStatus } from '../../model/status.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { statusRows } from '../status/status-rows.ts';
import { mentionWaiting, snapshotOf, withSupervisorIfRunning } from '../supervisor.ts';
import { notRunning } from '../status/wait-verdict.ts';

/** `tunnel port`: the number that a client here connects to, and nothing else on stdout. */
export async function run(args: readonly string[], _options: Options, context: Context): Promise<number> {
  const [argument = '', wanted] = args;
  const { out, json, signal } = context;
  const { tunnels } = await withSupervisorIfRunning(context, (client) => snapshotOf(client, signal));
  const [row] = statusRows([argument], tunnels, context);
  if (row === undefined || row.state === 'stopped') throw notRunning(argument);
  const forward = chosenForward(row.name, row.forwards, wanted);
  const port = boundPort(row.name, forward);
  if (json) out.json({ version: 1, name: row.name, forward: forward.name, port, bind: forward.bind });
  else out.data(String(port));
  mentionWaiting(tunnels, context);
  return 0;
}

function chosenForward(tunnel: string, forwards: readonly ForwardStatus[], wanted: string | undefined): ForwardStatus {
  const names = forwards.map(({ name }) => name);
  const [only, ...others] = forwards;
  if (wanted === undefined && only !== undefined && others.length === 0) return only;
  const found = forwards.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  if (wanted === undefined) {
    throw new TunnelError('USAGE', `Cannot tell which port of ${tunnel} is meant: it has several forwards`, {
      hint: `Name one: ${names.map((name) => cleanLine(name)).join(', ')}.`,
    });
  }
  throw new TunnelError('USAGE', `Cannot find a forward ${wanted} in ${tunnel}${didYouMean(wanted, names)}`, {
    hint: `It has: ${names.map((name) => cleanLine(name)).join(', ')}.`,
  });
}

/** A port that is not bound is not printed: a script would connect to somebody else. */
function boundPort(tunnel: string, { name, bind, state, lastError }: ForwardStatus): number {
  if (lastError !== null && lastError.code.startsWith('BIND_')) {
    throw new TunnelError(lastError.code, lastError.message, { hint: lastError.hint });
  }
  if (state === 'failed' || state === 'stopped') throw notRunning(tunnel);
  const port = Number(/:(\d+)$/.exec(bind)?.[1] ?? 0);
  if (port > 0) return port;
  throw new TunnelError('USAGE', `Cannot tell a port of ${name} in ${tunnel}: it listens on ${cleanLine(bind)}`);
}
