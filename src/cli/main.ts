import { readFile } from 'node:fs/promises';
import { Command, CommanderError } from 'commander';
import { appPaths, pathFacts } from '../files/paths.ts';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import { didYouMean } from '../model/nearest.ts';
import { helpLines, noSuchVerb } from './commands/help.ts';
import type { Context } from './context.ts';
import { rawWords, readGlobals, type Globals } from './globals.ts';
import { interruptible, type Interruption } from './interruption.ts';
import { LOADERS } from './loaders.ts';
import { Options } from './options.ts';
import { streamOutput, type Output } from './output.ts';
import { errorJson, errorLines } from './render/error.ts';
import { theme, wantsColour } from './theme.ts';
import { GLOBAL_OPTIONS, VERBS, type OptionSpec, type VerbSpec } from './verbs.ts';

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
    code = await perform(argv, contextFor(globals, out, await ownVersion(), interruption));
  } catch (thrown) {
    code = report(thrown, globals, out);
  }
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(code);
}

async function perform(argv: readonly string[], context: Context): Promise<number> {
  const request = readCommandLine(argv, context);
  if (request === undefined) return 0;
  const load = LOADERS[request.verb.name];
  if (load === undefined) throw new Error(`Nothing runs ${request.verb.name}`); // a test holds the two tables together
  const run = await load();
  return (await run(request.args, request.options, context)) ?? 0;
}

/** What the command line asks for. */
interface Request {
  readonly verb: VerbSpec;
  readonly args: readonly string[];
  readonly options: Options;
}

/** @returns undefined where it asked for help or the version, which is printed by then. @throws USAGE */
function readCommandLine(argv: readonly string[], { out, version }: Context): Request | undefined {
  const raw = rawRequest(argv);
  if (raw !== undefined) return raw;
  let request: Request | undefined;
  const program = parser('tunnel', undefined, out).option('-V, --version').allowUnknownOption().allowExcessArguments();
  for (const verb of VERBS) {
    const command = parser(verb.name, verb, out);
    for (const arg of verb.args) command.argument(commanderArgument(arg));
    for (const { flags } of verb.options) command.option(flags);
    command.action(() => {
      request = { verb, args: command.args, options: givenOptions(verb, command) };
    });
    program.addCommand(command);
  }
  // Only what is no verb comes here.
  program.action(() => {
    const [word] = program.args;
    if (word?.startsWith('-')) throw noSuchOption(word);
    if (word !== undefined) throw noSuchVerb(word);
    if (!program.getOptionValue('version')) for (const line of helpLines(undefined, out)) out.data(line);
  });
  if (!parsed(program, argv)) return undefined;
  if (!program.getOptionValue('version')) return request;
  out.data(version);
  return undefined;
}

/** A verb whose words have a grammar of their own: nothing after it is ours. */
function rawRequest(argv: readonly string[]): Request | undefined {
  const { verb: name, rest } = rawWords(argv) ?? {};
  const verb = VERBS.find((one) => one.name === name);
  if (verb === undefined || rest === undefined || rest.join(' ') === '--help') return undefined;
  return { verb, args: rest, options: new Options({}) };
}

/** A parser of our habits: it throws instead of exiting, says nothing itself, and leaves its help to us. */
function parser(name: string, verb: VerbSpec | undefined, out: Output): Command {
  const command = new Command(name).exitOverride().helpCommand(false);
  command.configureOutput({ writeOut: (text) => out.data(text.trimEnd()), writeErr: () => undefined });
  command.helpInformation = () => helpLines(verb?.name, out).join('\n');
  if (verb === undefined) for (const spec of GLOBAL_OPTIONS) if (!isHelp(spec)) command.option(spec.flags);
  return command;
}

/** @returns whether there is something to run: false after help */
function parsed(program: Command, argv: readonly string[]): boolean {
  try {
    program.parse(argv, { from: 'user' });
    return true;
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    if (thrown.exitCode === 0) return false;
    const verb = VERBS.find(({ name }) => argv.includes(name))?.name;
    throw new TunnelError('USAGE', `Cannot read the command line: ${inOurWords(thrown.message)}`, {
      cause: thrown,
      hint: `See \`tunnel help${verb === undefined ? '' : ` ${verb}`}\`.`,
    });
  }
}

/** Commander's sentence without its own label, and on one line. */
function inOurWords(message: string): string {
  return message.replace(/^error: /, '').replace(/\s+/g, ' ');
}

function noSuchOption(word: string): TunnelError {
  const known = GLOBAL_OPTIONS.flatMap(({ flags }) => flags.split(', '));
  return new TunnelError('USAGE', `Cannot read the command line: no option ${word}${didYouMean(word, known)}`);
}

function isHelp({ flags }: OptionSpec): boolean {
  return flags.includes('--help');
}

/** `NAME` is `<NAME>`, `[NAME…]` is `[NAME...]`. */
function commanderArgument(arg: string): string {
  const named = arg.replace('…', '...');
  return named.startsWith('[') ? named : `<${named}>`;
}

/** What was given, by the long names of our table: Commander keeps `--no-wait` as `wait: false`. */
function givenOptions(verb: VerbSpec, command: Command): Options {
  const given: Record<string, string | true> = {};
  for (const { flags } of verb.options) {
    const long = /--([a-z-]+)/.exec(flags)?.[1] ?? '';
    const negated = long.startsWith('no-');
    const key = (negated ? long.slice('no-'.length) : long).replace(/-([a-z])/g, (_, letter: string) =>
      letter.toUpperCase(),
    );
    const value: unknown = command.getOptionValue(key);
    if (negated ? value === false : value === true) given[long] = true;
    else if (typeof value === 'string' && !negated) given[long] = value;
  }
  return new Options(given);
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
    interactive: Boolean(process.stdin.isTTY) && Boolean(process.stderr.isTTY), // undefined where they are none
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

/** The package's own, whether this is the source or what was built from it. */
async function ownVersion(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  const facts: unknown = JSON.parse(text);
  const version = typeof facts === 'object' && facts !== null && 'version' in facts ? facts.version : undefined;
  return typeof version === 'string' ? version : 'unknown';
}

/** What was written has been handed to the system: a pipe may take its time, and process.exit would cut it. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.writableLength === 0 || stream.destroyed) resolve();
    else stream.write('', () => resolve());
  });
}
