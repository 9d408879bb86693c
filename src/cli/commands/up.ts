import type { ControlClient } from '../../control/client.ts';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Selection, UpTunnel } from '../../model/request.ts';
import { bringUp, reportBroughtUp } from '../up/bring-up.ts';
import { NoteTeller } from '../up/note-teller.ts';
import { sayWarnings } from '../up/say-warnings.ts';
import { takeBack } from '../up/take-back.ts';
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
  const atomic = options.flag('atomic');
  if (atomic && waitMs === null)
    throw new TunnelError('USAGE', 'Cannot take back what nobody waits for: --atomic or --no-wait');
  const select = selection(args, options) ?? (await picked(context));
  if (options.flag('foreground')) {
    const { runForeground } = await import('../up/foreground.ts');
    return runForeground(select, atomic ? waitMs : null, context);
  }
  return withSupervisor(context, (client) => up(client, select, { waitMs, atomic }, context));
}

/** null: do not wait. */
export function waitOption(options: Options): number | null {
  const waitMs = options.durationMs('wait', WAIT_MS);
  return options.flag('no-wait') ? null : waitMs;
}

interface Patience {
  /** null: do not wait. */
  readonly waitMs: number | null;
  /** All or nothing. */
  readonly atomic: boolean;
}

async function up(
  client: ControlClient,
  select: Selection,
  { waitMs, atomic }: Patience,
  context: Context,
): Promise<number> {
  const attend = context.interactive && waitMs !== null;
  const relay = attend ? relayQuestions(client, context) : undefined;
  const notes = relay === undefined ? undefined : new NoteTeller(client, relay, context);
  // Not given the signal: what Ctrl-C withdraws is known only once the supervisor has said what this call started.
  const { tunnels } = await client.call('up', { select, caller: callerOf(context), attend });
  for (const { name, reloaded } of tunnels) {
    if (reloaded) context.out.say(`${cleanLine(name)}: its profile has changed, and was read again`);
  }
  sayWarnings(tunnels, context);
  notes?.begin(tunnels);
  try {
    const order = tunnels.map(({ name }) => name);
    const brought = await bringUp({ client, order, waitMs, relay, notes, atomic }, context);
    if (!atomic || brought.failures.length === 0) return reportBroughtUp(brought, context);
    await takeBack(client, tunnels, { done: 'Not all came up; taken down again', stays: () => false }, context);
    return reportBroughtUp({ ...brought, tunnels: [] }, context);
  } catch (thrown) {
    if (context.signal.aborted) await withdraw(client, tunnels, atomic, context);
    throw thrown;
  } finally {
    relay?.close();
  }
}

/** Ctrl-C: what this call started and is not up yet is wanted no longer; what ran before, or is up, stays. */
async function withdraw(
  client: ControlClient,
  tunnels: readonly UpTunnel[],
  atomic: boolean,
  context: Context,
): Promise<void> {
  const status = await client.call('status', {});
  const serving = status.tunnels.filter(({ state }) => state === 'up' || state === 'idle').map(({ name }) => name);
  const stays = ({ name }: UpTunnel): boolean => !atomic && serving.includes(name);
  await takeBack(client, tunnels, { done: 'Interrupted; withdrawn', stays }, context);
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
