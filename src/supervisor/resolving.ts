import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { WantedTunnel } from '../model/memory.ts';
import type { Plan } from '../model/plan.ts';
import type { Caller } from '../model/request.ts';
import type { SupervisorDeps } from './deps.ts';
import { tunnelName } from '../model/profile-name.ts';
import { together, wantedTunnel } from './selection.ts';

/** A plan that is to run, and where it came from: null is a program's own plan, which no restore could find again. */
export interface Wish {
  readonly plan: Plan;
  readonly wanted: WantedTunnel | null;
}

type Resolve = SupervisorDeps['resolve'];

/**
 * Resolves every name, and before it those that its profile comes after, unless they run already. Each once, in the
 * order in which they are to start.
 * @throws everything that is wrong with any of them, at once
 */
export async function resolveAll(
  resolve: Resolve,
  names: readonly string[],
  caller: Pick<Caller, 'cwd'>,
  running: (name: string) => boolean,
): Promise<readonly Wish[]> {
  const found = new Map<string, Wish>();
  const errors: TunnelError[] = [];
  const visit = async (nameOrPath: string, way: readonly string[]): Promise<void> => {
    const name = tunnelName(nameOrPath);
    if (way.includes(name)) return void errors.push(circle([...way, name]));
    const before = found.get(name);
    if (before !== undefined && way.length > 0) return;
    const wish = await resolveOne(resolve, wantedTunnel(name, nameOrPath, caller.cwd)).catch((error: unknown) => {
      errors.push(asTunnelError(error));
    });
    if (wish === undefined) return;
    if (before !== undefined && before.plan.file !== wish.plan.file) {
      return void errors.push(secondFile(name, before.plan.file, wish.plan.file));
    }
    for (const first of wish.plan.after) if (!running(first)) await visit(first, [...way, name]);
    if (!found.has(name)) found.set(name, wish);
  };
  for (const name of names) await visit(name, []);
  const [first, ...others] = errors;
  if (first !== undefined) throw together([first, ...others]);
  return [...found.values()];
}

/** Resolves again what runs, by what was written then. */
export async function resolveOne(resolve: Resolve, wanted: WantedTunnel): Promise<Wish> {
  const plan = await resolve(wanted.profile, { cwd: wanted.cwd });
  return { plan, wanted: { ...wanted, name: plan.name } };
}

export function secondFile(name: string, running: string, other: string): TunnelError {
  const hint = 'Rename one of the files, or bring the other tunnel down first.';
  const owner = running === '' ? 'a tunnel that runs without a file' : running;
  return new TunnelError('USAGE', `Cannot run ${other} as ${name}: that name belongs to ${owner}`, { hint });
}

function circle(way: readonly string[]): TunnelError {
  const hint = 'Take one of the names out of `after`.';
  return new TunnelError('PROFILE_INVALID', `Cannot order ${way.join(' after ')}: they go in a circle`, { hint });
}
