import { createHash } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import { authorizedLine } from '../../authorize/authorized-line.ts';
import { jumpPermit, keyLimits, type KeyLimits } from '../../authorize/key-limits.ts';
import type { KeyAtHand } from '../../compose-authorize.ts';
import type { ProfileFile } from '../../files/profiles.ts';
import { TunnelError } from '../../model/failure.ts';
import { formatHop } from '../../model/hop-spec.ts';
import type { HopPlan, Plan } from '../../model/plan.ts';
import type { Context } from '../context.ts';

/** What is authorized: a key for the forwards of one profile, at its server. */
export interface Subject {
  readonly profile: ProfileFile;
  readonly plan: Plan;
  readonly server: HopPlan;
  /** `alice@pop.example.org:22`: whose authorized_keys the line is for. */
  readonly account: string;
  readonly key: KeyAtHand;
  /** It was made just now. */
  readonly made: boolean;
  /** It is for this profile alone: nothing else is lost where its line changes. */
  readonly dedicated: boolean;
  readonly limits: KeyLimits;
  readonly line: string;
  /** What jump hosts must allow, where their keys are limited too. */
  readonly jumps: readonly { readonly hop: string; readonly permitopen: string }[];
}

/**
 * Finds the key of a profile: the one that is named, the dedicated one that it logs in with, else its own, which is made where
 * there is none. Asks nobody and connects nowhere.
 * @throws USAGE where it has no server, or no forward that needs one; KEY_UNUSABLE, FILE, and what a profile can fail with
 */
export async function subjectOf(profile: ProfileFile, keyFile: string | undefined, context: Context): Promise<Subject> {
  const [{ resolveProfile }, parts] = await Promise.all([
    import('../../compose-cli.ts'),
    import('../../compose-authorize.ts'),
  ]);
  const plan = await resolveProfile(profile.file, context);
  const server = plan.hops.at(-1);
  const limits = keyLimits(plan.forwards);
  if (server === undefined || limits === undefined) {
    throw new TunnelError('USAGE', `Cannot authorize ${plan.name}: none of its forwards uses an SSH server`, {
      hint: 'A relay is made by this machine alone: nobody has to allow it.',
    });
  }
  const comment = parts.commentFor(plan.name);
  const file = keyFile === undefined ? dedicatedFile(profile, server, context) : resolve(context.cwd, keyFile);
  const made = keyFile === undefined && (await parts.makeKeyAt(file, comment));
  const key = await parts.keyAt(file, context.signal);
  return {
    ...{ profile, plan, server, key, made, limits },
    account: accountAt(server),
    dedicated: dirname(file) === context.paths.keysDir,
    line: authorizedLine(key, limits, comment),
    jumps: jumpsOf(plan.hops),
  };
}

/** `alice@pop.example.org:22`. */
function accountAt({ user, host, port }: HopPlan): string {
  return formatHop({ user, host, port });
}

/** A profile that was renamed keeps its key; two files of one name have keys of their own. */
function dedicatedFile({ name, file, origin }: ProfileFile, server: HopPlan, { paths }: Context): string {
  const used = server.identities.find((identity) => dirname(identity.file) === paths.keysDir);
  if (used !== undefined) return used.file;
  const digest = createHash('sha256').update(file).digest('hex').slice(0, 8);
  return join(paths.keysDir, origin === 'home' ? name : `${name}-${digest}`);
}

function jumpsOf(hops: readonly HopPlan[]): Subject['jumps'] {
  return hops.slice(0, -1).flatMap((hop, index) => {
    const next = hops[index + 1];
    return next === undefined ? [] : [{ hop: accountAt(hop), permitopen: jumpPermit(next) }];
  });
}
