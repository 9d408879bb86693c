import type { AuthMethod, HopPlan } from '../model/plan.ts';
import { DEFAULTS, type HopSpec } from '../model/profile.ts';
import type { SshSettings } from '../ssh-config/settings.ts';

/** The identity files that ssh tries by itself, in its order (ssh_config(5), IdentityFile). */
const USUAL_FILES = ['id_rsa', 'id_ecdsa', 'id_ecdsa_sk', 'id_ed25519', 'id_ed25519_sk'] as const;

/** Kinds of keys that no server takes any more, and that we do not read. */
const GONE = /\/id_(?:dsa|xmss)$/;

/**
 * The ways to log in, in the order to try: the profile's, else PreferredAuthentications, else ours; what ssh_config
 * switches off is left out of what the profile does not name itself.
 */
export function authOrder(spec: HopSpec, settings: SshSettings): readonly AuthMethod[] {
  if (spec.auth !== undefined) return spec.auth;
  const known: readonly AuthMethod[] = DEFAULTS.auth;
  const preferred = settings.preferredAuthentications ?? known;
  const wanted = preferred.flatMap((name) => known.filter((method) => method === name));
  return wanted.filter((method) => !settings.refusedMethods.includes(method));
}

/**
 * Identity files in ssh's order, as written: the profile's replace ssh_config's, those replace the usual ones.
 * `explicit` tells whether the person named the file, so that a usual one may be missing without a word.
 */
export function identityOrder(spec: HopSpec, settings: SshSettings): HopPlan['identities'] {
  const named = spec.identity ?? settings.identityFiles;
  if (named !== null && named !== undefined) return named.map((file) => ({ file, explicit: true }));
  const usual = settings.defaultIdentityFiles ?? USUAL_FILES.map((name) => `~/.ssh/${name}`);
  return usual.filter((file) => !GONE.test(file)).map((file) => ({ file, explicit: false }));
}
