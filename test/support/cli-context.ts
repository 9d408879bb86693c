import type { Context } from '../../src/cli/context.ts';
import type { Output } from '../../src/cli/output.ts';
import { PLAIN } from '../../src/cli/theme.ts';
import { appPaths } from '../../src/files/paths.ts';
import { TunnelError } from '../../src/model/failure.ts';

/** A command's surroundings in a test: what it writes is kept, Ctrl-C is a method. */
export interface TestContext {
  readonly context: Context;
  readonly stdout: string[];
  readonly stderr: string[];
  /** JSON written, each value as it was given. */
  readonly json: unknown[];
}

/** @param changes what differs from a plain, silent, non-interactive command in an empty home under `dir` */
export function testContext(dir: string, changes: Partial<Context> = {}): TestContext {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const json: unknown[] = [];
  const out: Output = {
    theme: PLAIN,
    talkTheme: PLAIN,
    columns: undefined,
    data: (text) => void stdout.push(text),
    json: (value) => void json.push(value),
    jsonLine: (value) => void json.push(value),
    say: (text) => void stderr.push(text),
    warn: (text) => void stderr.push(text),
    detail: () => undefined,
    redraw: (text) => void stdout.push(text),
    onReaderGone: () => undefined,
  };
  const interruption = new AbortController();
  const context: Context = {
    version: '1.2.3',
    paths: appPaths({ env: { TUNNEL_HOME: dir }, platform: 'linux', home: dir, uid: 0, tmp: dir }),
    env: {},
    cwd: dir,
    json: false,
    quiet: false,
    verbose: false,
    interactive: false,
    out,
    signal: interruption.signal,
    interruptedBy: () => undefined,
    interrupt: () => interruption.abort(new TunnelError('INTERRUPTED', 'Interrupted')),
    ...changes,
  };
  return { context, stdout, stderr, json };
}
