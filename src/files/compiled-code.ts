import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asTunnelError, type TunnelError } from '../model/failure.ts';
import type { Paths } from './paths.ts';
import { ensurePrivateFolder } from './private-folder.ts';

/** The first login has its answer by then. Writing takes some 20 ms, once for each build of the program. */
const WRITES_AFTER_MS = 2_000;
/** What Node writes under before it gives a file its name, and leaves behind where it is killed or the disk is full. */
const UNFINISHED = /\.\w{6}$/;

/** What `node:module` has from Node 22.10 on; the types that we build with are of Node 20. */
export interface CompileCache {
  readonly enable: (folder: string) => { readonly directory?: string };
  /** Writes what was compiled since, and was not there: before it returns. */
  readonly flush: () => void;
}

export interface CompiledCode {
  /** Why none is kept, though Node can. */
  readonly without?: TunnelError;
  /** Writes what is not written yet. Whatever is loaded after it, Node would write at the end of the process. Never rejects. */
  finish(): Promise<void>;
}

/**
 * Has Node, from 22.10 on, keep the compiled code of what is loaded from now on, and take what it kept before
 * (docs/decisions/0009). It is run as ours, so its folder is private; there is one for each build of the program and each
 * Node, and those of others are removed. Only for whoever holds the home: it alone writes there. Never rejects: where
 * nothing can be kept, everything is compiled at each start.
 */
export async function keepCompiledCode(
  { stateDir }: Pick<Paths, 'stateDir'>,
  version: string,
  cache = nodesOwn(),
): Promise<CompiledCode> {
  if (cache === undefined) return NOTHING;
  const folder = join(stateDir, 'compiled');
  const build = basename(fileURLToPath(import.meta.url)); // its name holds a hash, as built
  const own = `${version}-${build}-${process.version}`;
  try {
    await ensurePrivateFolder(folder);
  } catch (error) {
    return { ...NOTHING, without: asTunnelError(error) };
  }
  if (cache.enable(join(folder, own)).directory === undefined) return NOTHING; // by NODE_DISABLE_COMPILE_CACHE, say
  let written = Promise.resolve();
  const write = (): Promise<void> => {
    cache.flush();
    written = written.then(() => tidy(folder, own));
    return written;
  };
  const timer = setTimeout(() => void write(), WRITES_AFTER_MS).unref(); // a process that is killed has written by then
  return {
    finish() {
      clearTimeout(timer);
      return write();
    },
  };
}

const NOTHING: CompiledCode = { finish: () => Promise.resolve() };

function nodesOwn(): CompileCache | undefined {
  const module = process.getBuiltinModule('node:module');
  const enable: unknown = Reflect.get(module, 'enableCompileCache');
  const flush: unknown = Reflect.get(module, 'flushCompileCache');
  if (typeof enable !== 'function' || typeof flush !== 'function') return undefined;
  return { enable, flush } as unknown as CompileCache;
}

/**
 * Removes what other builds kept; our own too where a file is unfinished, since Node would go on with those that could not
 * be written when the process ends, and cannot where there is no folder. The next supervisor begins anew.
 */
async function tidy(folder: string, own: string): Promise<void> {
  try {
    const found = await readdir(folder, { recursive: true });
    const useless = found.some((name) => UNFINISHED.test(name)) ? () => true : (name: string) => name !== own;
    const builds = (await readdir(folder)).filter(useless);
    await Promise.all(builds.map((name) => rm(join(folder, name), { recursive: true, force: true })));
  } catch {
    return; // what is left over harms nobody, and the next supervisor tries again
  }
}
