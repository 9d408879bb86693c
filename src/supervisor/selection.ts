import { basename, resolve } from 'node:path';
import { TunnelError } from '../model/failure.ts';
import type { WantedTunnel } from '../model/memory.ts';

/** Whether the argument names a file rather than a profile (product.md section 3). */
export function isPath(nameOrPath: string): boolean {
  const backslash = process.platform === 'win32' && nameOrPath.includes('\\');
  return backslash || nameOrPath.includes('/') || /\.ya?ml$/.test(nameOrPath);
}

/** The name under which a profile runs: of a path its base name. */
export function tunnelName(nameOrPath: string): string {
  return isPath(nameOrPath) ? basename(nameOrPath).replace(/\.ya?ml$/, '') : nameOrPath;
}

/** How the profile is found again later, wherever that is asked from. */
export function wantedTunnel(name: string, nameOrPath: string, cwd: string): WantedTunnel {
  return { name, profile: isPath(nameOrPath) ? resolve(cwd, nameOrPath) : nameOrPath, cwd };
}

/** Several refusals of one request as one: the first decides the code, every problem is kept. */
export function together(errors: readonly [TunnelError, ...TunnelError[]]): TunnelError {
  const [first, ...others] = errors;
  if (others.length === 0) return first;
  const message = errors.map((error) => error.message).join('; ');
  const problems = errors.flatMap((error) => error.problems);
  return new TunnelError(first.code, message, { cause: first, hint: first.hint, problems });
}
