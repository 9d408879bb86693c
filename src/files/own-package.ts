import { existsSync, readFileSync } from 'node:fs';

/**
 * The folder of this package, ending in a slash: the nearest above this file that holds a package.json. Where the file
 * stands depends on what the build has joined with what; where the package's other files stand does not.
 */
export function packageFolder(): URL {
  let folder = new URL('./', import.meta.url);
  while (!existsSync(new URL('package.json', folder)) && folder.pathname !== '/') folder = new URL('../', folder);
  return folder;
}

/** What the build writes in (build.ts); from the source there is none. */
declare const BUILT_VERSION: string | undefined;

/** The package's own version, whether this is the source or what was built from it. */
export function packageVersion(): string {
  if (typeof BUILT_VERSION === 'string') return BUILT_VERSION; // to find the file and read it is a millisecond of each start
  const facts: unknown = JSON.parse(readFileSync(new URL('package.json', packageFolder()), 'utf8'));
  const named = typeof facts === 'object' && facts !== null && 'version' in facts ? facts.version : undefined;
  return typeof named === 'string' ? named : 'unknown';
}
