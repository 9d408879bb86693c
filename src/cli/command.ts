import type { Context } from './context.ts';
import type { Options } from './options.ts';

/**
 * What a module in `commands/` exports. `args` are the words after the verb, at least as many as the verb requires.
 * Resolves with the exit code (nothing is 0); a failure is thrown as a TunnelError and printed by main.
 */
export type Run = (args: readonly string[], options: Options, context: Context) => Promise<number | void>;
