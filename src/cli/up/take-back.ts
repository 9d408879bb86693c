import type { ControlClient } from '../../control/client.ts';
import { cleanLine } from '../../model/clean.ts';
import type { UpTunnel } from '../../model/request.ts';
import type { Context } from '../context.ts';
import { callerOf } from '../supervisor.ts';

/** What one `up` started is wanted no longer. `done` completes the sentence that says so: `Interrupted; withdrawn`. */
export interface TakeBack {
  readonly done: string;
  /** Of what this call started, these stay: a tunnel that serves survives Ctrl-C, and not a failed `--atomic`. */
  readonly stays: (tunnel: UpTunnel) => boolean;
}

/** Takes down again what a call started; what ran before stays, and both are said. Rejects when the supervisor goes away. */
export async function takeBack(
  client: ControlClient,
  tunnels: readonly UpTunnel[],
  { done, stays }: TakeBack,
  context: Context,
): Promise<void> {
  const names = tunnels.filter((tunnel) => !tunnel.already && !stays(tunnel)).map(({ name }) => name);
  if (names.length > 0) await client.call('down', { select: { names }, drainMs: 0, caller: callerOf(context) });
  const kept = tunnels.map(({ name }) => name).filter((name) => !names.includes(name));
  const parts = [
    ...(names.length > 0 ? [`${done}: ${names.map((name) => cleanLine(name)).join(', ')}`] : []),
    ...(kept.length > 0 ? [`still running: ${kept.map((name) => cleanLine(name)).join(', ')}`] : []),
  ];
  context.out.say(parts.join('; '));
}
