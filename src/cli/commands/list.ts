import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import type { TunnelState } from '../../model/status.ts';
import { passedOver, readCatalog } from '../profiles/catalog.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { statePaint } from '../render/state.ts';
import { tableLines } from '../render/table.ts';
import { mentionWaiting, snapshotOf, withSupervisorIfRunning } from '../supervisor.ts';

interface ListRow {
  readonly name: string;
  /** null where the supervisor, which alone knows, does not answer. */
  readonly state: TunnelState | null;
  readonly description: string;
  readonly tags: readonly string[];
  /** null for a tunnel that was started from a path. */
  readonly file: string | null;
}

/**
 * `tunnel list`: every profile, running or not. Reads no more of a profile than what it shows. A supervisor that does not
 * answer takes nobody's profiles away: they are listed without their states, and then it fails with what became of it.
 */
export async function run(_args: readonly string[], options: Options, context: Context): Promise<number> {
  const { out, json, paths, cwd, signal } = context;
  const [profiles, found] = await Promise.all([
    readCatalog(paths, cwd),
    withSupervisorIfRunning(context, (client) => snapshotOf(client, signal)).catch(silence),
  ]);
  const silent = found instanceof TunnelError ? found : undefined;
  if (json && silent !== undefined) throw silent; // under --json an error is the only thing on stdout
  const tunnels = found instanceof TunnelError ? [] : found.tunnels;
  const otherwise = silent === undefined ? 'stopped' : null;
  const states = new Map(tunnels.map(({ name, state }) => [name, state]));
  const known = profiles.map(({ name, description, tags, file }): ListRow => {
    return { name, state: states.get(name) ?? otherwise, description, tags, file };
  });
  const others = tunnels
    .filter(({ name }) => !profiles.some((profile) => profile.name === name))
    .map(({ name, state }): ListRow => ({ name, state, description: '', tags: [], file: null }));
  const tag = options.text('tag');
  const rows = [...known, ...others].filter(({ tags }) => tag === undefined || tags.includes(tag));
  if (json) out.json({ version: 1, profiles: rows });
  else if (rows.length === 0) out.say(tag === undefined ? NO_PROFILES : `No profile has the tag ${cleanLine(tag)}.`);
  else for (const line of listLines(rows, context)) out.data(line);
  if (!json) for (const line of passedOver(paths, cwd)) out.warn(line);
  if (silent !== undefined) throw silent;
  mentionWaiting(tunnels, context);
  return 0;
}

/** @throws anything but that the supervisor does not answer, or in another protocol */
function silence(thrown: unknown): TunnelError {
  if (!(thrown instanceof TunnelError)) throw thrown;
  if (thrown.code === 'SUPERVISOR_UNREACHABLE' || thrown.code === 'PROTOCOL') return thrown;
  throw thrown;
}

const NO_PROFILES = 'There are no profiles yet: write one with `tunnel new`, or see `tunnel demo` work first.';

function listLines(rows: readonly ListRow[], { out: { theme } }: Context): string[] {
  return tableLines([
    ['NAME', 'STATE', 'DESCRIPTION', 'TAGS'].map((text) => ({ text, paint: theme.dim })),
    ...rows.map(({ name, state, description, tags }) => [
      { text: cleanLine(name), paint: theme.strong },
      state === null ? { text: '?', paint: theme.warn } : { text: state, paint: statePaint(state, theme) },
      { text: cleanLine(description, 80) },
      { text: cleanLine(tags.join(', ')), paint: theme.dim },
    ]),
  ]);
}
