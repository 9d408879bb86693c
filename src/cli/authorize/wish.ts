import { TunnelError } from '../../model/failure.ts';
import type { Options } from '../options.ts';

/** What a command line of `authorize` asks for, beside the key and its line. */
export interface Wish {
  readonly install: boolean;
  readonly prove: boolean;
  readonly use: boolean;
  readonly remove: boolean;
  /** A person may be asked what comes next. */
  readonly mayAsk: boolean;
}

/** @throws USAGE where the options contradict each other */
export function readWish(options: Options, asks: boolean): Wish {
  const given = ['print', 'install', 'prove', 'use', 'remove'].filter((name) => options.flag(name));
  for (const { one, others, why } of CONTRADICTIONS) {
    const other = given.includes(one) ? given.find((name) => others.includes(name)) : undefined;
    if (other !== undefined) throw new TunnelError('USAGE', `Cannot both --${one} and --${other}: ${why}`);
  }
  const has = (name: string): boolean => given.includes(name);
  return {
    install: has('install'),
    prove: has('prove') || has('install'),
    use: has('use'),
    remove: has('remove'),
    mayAsk: asks && given.length === 0,
  };
}

const CONTRADICTIONS: readonly { readonly one: string; readonly others: readonly string[]; readonly why: string }[] = [
  { one: 'print', others: ['install', 'prove', 'remove'], why: 'printing goes nowhere near the server' },
  { one: 'remove', others: ['install', 'prove', 'use'], why: 'one undoes what the other does' },
];
