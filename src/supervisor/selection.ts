import { resolve } from 'node:path';
import { TunnelError } from '../model/failure.ts';
import type { WantedTunnel } from '../model/memory.ts';
import { isProfilePath } from '../model/profile-name.ts';

/** How the profile is found again later, wherever that is asked from. */
export function wantedTunnel(name: string, nameOrPath: string, cwd: string): WantedTunnel {
  return { name, profile: isProfilePath(nameOrPath) ? resolve(cwd, nameOrPath) : nameOrPath, cwd };
}

/** Several refusals of one request as one: the first decides the code, every problem is kept. */
export function together(errors: readonly [TunnelError, ...TunnelError[]]): TunnelError {
  const [first, ...others] = errors;
  if (others.length === 0) return first;
  const message = errors.map((error) => error.message).join('; ');
  const problems = errors.flatMap((error) => error.problems);
  return new TunnelError(first.code, message, { cause: first, hint: first.hint, problems });
}
