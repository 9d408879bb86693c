import { packageVersion } from '../files/own-package.ts';
import { appPaths, pathFacts } from '../files/paths.ts';
import { asTunnelError } from '../model/failure.ts';
import { helpLines } from './commands/help.ts';
import type { Context } from './context.ts';
import { readGlobals, type Globals } from './globals.ts';
import { interruptible, type Interruption } from './interruption.ts';
import { LOADERS } from './loaders.ts';
import { streamOutput, type Output } from './output.ts';
import { errorJson, errorLines } from './render/error.ts';
import { readPlain } from './request.ts';
import { theme, wantsColour } from './theme.ts';

/** Runs one command line of `tunnel` and ends the process with its exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const globals = readGlobals(argv);
  const out = await outputFor(globals);
  out.onReaderGone(() => process.exit(0)); // `tunnel status | head -1` is no failure
  process.on('uncaughtException', (thrown) => {
    // A supervisor in this process listens too: it reports and survives.
    if (process.listenerCount('uncaughtException') === 1) process.exit(report(thrown, globals, out));
  });
  const interruption = interruptible();
  let code: number;
  try {
    code = await perform(argv, contextFor(globals, out, packageVersion(), interruption));
  } catch (thrown) {
    code = report(thrown, globals, out);
  }
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(code);
}

async function perform(argv: readonly string[], context: Context): Promise<number> {
  const request = readPlain(argv) ?? (await import('./command-line.ts')).readCommandLine(argv);
  const { out } = context;
  switch (request.asks) {
    case 'version':
      out.data(context.version);
      return 0;
    case 'help':
      for (const line of helpLines(request.about, out)) out.data(line);
      return 0;
    case 'verb': {
      const load = LOADERS[request.verb.name];
      if (load === undefined) throw new Error(`Nothing runs ${request.verb.name}`); // a test holds the two tables together
      const run = await load();
      return (await run(request.args, request.options, context)) ?? 0;
    }
  }
}

function contextFor({ json, quiet, verbose }: Globals, out: Output, version: string, stop: Interruption): Context {
  return {
    version,
    paths: appPaths(pathFacts()),
    env: process.env,
    cwd: process.cwd(),
    json,
    quiet,
    verbose,
    get interactive() {
      // Only when asked: making a stream of stdin takes 2 ms. Undefined where they are no terminals.
      return Boolean(process.stderr.isTTY) && Boolean(process.stdin.isTTY);
    },
    out,
    signal: stop.signal,
    interruptedBy: stop.by,
    interrupt: stop.interrupt,
  };
}

async function outputFor({ quiet, verbose, noColor }: Globals): Promise<Output> {
  const { stdout, stderr, env } = process;
  if (noColor) env['NO_COLOR'] = '1'; // prompts paint themselves, and ask the environment
  return streamOutput({
    stdout,
    stderr,
    theme: await theme(wantsColour(stdout, env, noColor)),
    talkTheme: await theme(wantsColour(stderr, env, noColor)),
    quiet,
    verbose,
  });
}

/** Says what went wrong: to a person on stderr, under --json as the only thing on stdout. @returns the exit code */
function report(thrown: unknown, { json, verbose }: Globals, out: Output): number {
  const error = asTunnelError(thrown);
  if (json)
    out.jsonLine(errorJson(error.facts)); // on one line: it may end a stream of objects
  else if (error.code !== 'INTERRUPTED') for (const line of errorLines(error.facts, out.talkTheme)) out.warn(line);
  if (verbose && error.cause instanceof Error) out.detail(error.cause.stack ?? error.cause.message);
  return error.exit;
}

/** What was written has been handed to the system: a pipe may take its time, and process.exit would cut it. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.writableLength === 0 || stream.destroyed) resolve();
    else stream.write('', () => resolve());
  });
}
