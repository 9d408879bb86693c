import type { ControlClient } from '../../control/client.ts';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Selection, UpTunnel } from '../../model/request.ts';
import { bringUp, reportBroughtUp } from '../up/bring-up.ts';
import { readCatalog } from '../profiles/catalog.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { relayQuestions } from '../relay.ts';
import { selection } from '../profiles/selection.ts';
import { callerOf, withSupervisor } from '../supervisor.ts';

/** How long `up` waits for the network where `--wait` does not say. */
const WAIT_MS = 30_000;

/** `tunnel up`: starts the tunnels, and waits until they are up or it is known that they will not be. */
export async function run(args: readonly string[], options: Options, context: Context): Promise<number> {
  const waitMs = waitOption(options);
  const select = selection(args, options) ?? (await picked(context));
  if (options.flag('foreground')) {
    const { runForeground } = await import('../up/foreground.ts');
    return runForeground(select, context);
  }
  return withSupervisor(context, (client) => up(client, select, waitMs, context));
}

/** null: do not wait. */
export function waitOption(options: Options): number | null {
  const waitMs = options.durationMs('wait', WAIT_MS);
  return options.flag('no-wait') ? null : waitMs;
}

async function up(client: ControlClient, select: Selection, waitMs: number | null, context: Context): Promise<number> {
  const attend = context.interactive && waitMs !== null;
  const relay = attend ? relayQuestions(client, context) : undefined;
  // Not given the signal: what Ctrl-C withdraws is known only once the supervisor has said what this call started.
  const { tunnels } = await client.call('up', { select, caller: callerOf(context), attend });
  for (const { name, reloaded } of tunnels) {
    if (reloaded) context.out.say(`${cleanLine(name)}: its profile has changed, and was read again`);
  }
  try {
    const order = tunnels.map(({ name }) => name);
    return reportBroughtUp(await bringUp({ client, order, waitMs, relay }, context), context);
  } catch (thrown) {
    if (context.signal.aborted) await withdraw(client, tunnels, context);
    throw thrown;
  } finally {
    relay?.close();
  }
}

/** Ctrl-C: what this call started and is not up yet is wanted no longer; what ran before, or is up, stays. */
async function withdraw(client: ControlClient, tunnels: readonly UpTunnel[], context: Context): Promise<void> {
  const status = await client.call('status', {});
  const serving = new Set(
    status.tunnels.filter(({ state }) => state === 'up' || state === 'idle').map(({ name }) => name),
  );
  const names = tunnels.filter(({ name, already }) => !already && !serving.has(name)).map(({ name }) => name);
  if (names.length > 0) await client.call('down', { select: { names }, drainMs: 0, caller: callerOf(context) });
  const kept = tunnels.map(({ name }) => name).filter((name) => !names.includes(name));
  const parts = [
    ...(names.length > 0 ? [`withdrawn: ${names.map((name) => cleanLine(name)).join(', ')}`] : []),
    ...(kept.length > 0 ? [`still running: ${kept.map((name) => cleanLine(name)).join(', ')}`] : []),
  ];
  context.out.say(`Interrupted; ${parts.join('; ')}`);
}

async function picked(context: Context): Promise<Selection> {
  if (!context.interactive) {
    throw new TunnelError('USAGE', 'Cannot bring anything up: no tunnel is named', {
      hint: 'Name one or several, or use --all or --tag: `tunnel up NAME`.',
    });
  }
  const profiles = await readCatalog(context.paths, context.cwd);
  if (profiles.length === 0) {
    throw new TunnelError('USAGE', 'Cannot bring anything up: there are no profiles yet', {
      hint: 'Write one with `tunnel new`, or see `tunnel demo` work first.',
    });
  }
  const { askMany } = await import('../prompts.ts');
  const choices = profiles.map(({ name, description }) => ({
    value: name,
    label: description === '' ? name : `${name}  ${cleanLine(description, 60)}`,
  }));
  return { names: await askMany('Which tunnels?', choices, context.signal) };
}
