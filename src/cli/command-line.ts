import { Command, CommanderError } from 'commander';
import { TunnelError } from '../model/failure.ts';
import { didYouMean } from '../model/nearest.ts';
import { noSuchVerb } from './commands/help.ts';
import { Options } from './options.ts';
import { VERSION_FLAGS, type Request } from './request.ts';
import { GLOBAL_OPTIONS, VERBS, type OptionSpec, type VerbSpec } from './verbs.ts';

/** Reads any command line by the table of verbs. @throws USAGE */
export function readCommandLine(argv: readonly string[]): Request {
  let request: Request = { asks: 'help', about: undefined };
  const asked = (one: Request): void => void (request = one);
  const program = parser('tunnel', undefined, asked).option(VERSION_FLAGS).allowUnknownOption().allowExcessArguments();
  for (const verb of VERBS) program.addCommand(verbParser(verb, asked));
  // Only what is no verb comes here.
  program.action(() => {
    const [word] = program.args;
    if (word?.startsWith('-')) throw noSuchOption(word);
    if (word !== undefined) throw noSuchVerb(word);
  });
  const helped = !parsed(program, argv);
  return !helped && program.getOptionValue('version') === true ? { asks: 'version' } : request;
}

function verbParser(verb: VerbSpec, asked: (request: Request) => void): Command {
  const command = parser(verb.name, verb, asked);
  for (const arg of verb.args) command.argument(commanderArgument(arg));
  for (const { flags } of verb.options) command.option(flags);
  return command.action(() => asked({ asks: 'verb', verb, args: command.args, options: givenOptions(verb, command) }));
}

/** A parser of our habits: it throws instead of exiting, and says nothing itself. */
function parser(name: string, verb: VerbSpec | undefined, asked: (request: Request) => void): Command {
  const command = new Command(name).exitOverride().helpCommand(false);
  command.configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  command.helpInformation = () => {
    asked({ asks: 'help', about: verb?.name });
    return '';
  };
  if (verb === undefined) for (const spec of GLOBAL_OPTIONS) if (!isHelp(spec)) command.option(spec.flags);
  return command;
}

/** @returns false where help was asked for */
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
