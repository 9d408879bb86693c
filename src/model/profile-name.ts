import { basename, sep } from 'node:path';

const ENDING = /\.ya?ml$/i;

/**
 * Whether an argument names a profile's file rather than a profile: it has a slash in it, or ends in .yaml or .yml
 * (product.md section 3). A backslash counts where it parts folders.
 */
export function isProfilePath(argument: string): boolean {
  return argument.includes('/') || argument.includes(sep) || ENDING.test(argument);
}

/** The name under which a profile runs: of a path its base name. */
export function tunnelName(argument: string): string {
  return isProfilePath(argument) ? basename(argument).replace(ENDING, '') : argument;
}
