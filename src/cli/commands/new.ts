import { join } from 'node:path';
import { listProfiles, writeProfile } from '../../files/profiles.ts';
import { TunnelError } from '../../model/failure.ts';
import { PROFILE_NAME, type Profile } from '../../model/profile.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { askDescription, askName, freeName } from '../wizard/ask-name.ts';
import { profileNameFrom } from '../wizard/ask-forwards.ts';
import { readSshLine } from '../wizard/ssh-line.ts';

/** A profile that is ready to be written. */
interface NewProfile {
  readonly name: string;
  readonly profile: Profile;
}

/** `tunnel new [NAME]`: the wizard, or a line of ssh taken over. */
export const run: Run = async ([given], options, context) => {
  const taken = await takenNames(context);
  if (given !== undefined) refuseBadName(given, taken, options);
  const line = options.text('from');
  const made = line === undefined ? await askAll(given, taken, context) : fromLine(line, given, taken, context);
  const file = join(context.paths.profilesDir, `${made.name}.yaml`);
  const { checkText } = await import('../../compose-cli.ts');
  const { formatProfile } = await import('../../profile/edit.ts');
  const text = formatProfile(made.profile);
  const problems = await checkText(text, file, context);
  if (problems.length > 0)
    throw new TunnelError('PROFILE_INVALID', `Cannot write ${file}: it would be wrong`, { problems });
  // The wizard takes its time: another may have written that name meanwhile.
  if (!options.flag('force') && (await takenNames(context)).has(made.name)) throw thereAlready(made.name);
  await writeProfile(file, text);
  report(made.name, file, text, context);
};

function fromLine(
  line: string,
  given: string | undefined,
  taken: ReadonlySet<string>,
  { out, cwd }: Context,
): NewProfile {
  const { profile, warnings } = readSshLine(line, cwd);
  for (const warning of warnings) out.warn(`${out.talkTheme.warn('note:')} ${warning}`);
  const suggestion = profileNameFrom(profile.via?.at(-1)?.host ?? '');
  const name = given ?? freeName(suggestion, (candidate) => taken.has(candidate));
  if (name !== '') return { name, profile };
  throw new TunnelError('USAGE', 'Cannot name the profile after its server', {
    hint: 'Name it: `tunnel new NAME --from …`.',
  });
}

async function askAll(given: string | undefined, taken: ReadonlySet<string>, context: Context): Promise<NewProfile> {
  const { out, signal, interactive } = context;
  if (!interactive) {
    throw new TunnelError('USAGE', 'Cannot ask for a new profile: this is no terminal', {
      hint: "Use `tunnel new NAME --from 'ssh -L …'`, or write the file yourself.",
    });
  }
  const [{ askServer }, { askForwards }, { portFacts }, { boundElsewhere, tryLogin }] = await Promise.all([
    import('../wizard/ask-server.ts'),
    import('../wizard/ask-forwards.ts'),
    import('../wizard/port-facts.ts'),
    import('../server/login.ts'),
  ]);
  const via = await askServer((hops) => tryLogin(hops, context), out, signal);
  const server = via.at(-1);
  if (server === undefined) throw new TypeError('The wizard gives one server at least');
  const chosen = await askForwards(server, portFacts(await boundElsewhere(context)), out, signal);
  const name = given ?? (await askName(chosen.name, (candidate) => taken.has(candidate), signal));
  const description = await askDescription(chosen.description, signal);
  return { name, profile: { ...(description === '' ? {} : { description }), via, forwards: chosen.forwards } };
}

async function takenNames({ paths, cwd }: Context): Promise<ReadonlySet<string>> {
  return new Set((await listProfiles(cwd, paths)).map(({ name }) => name));
}

function refuseBadName(name: string, taken: ReadonlySet<string>, options: Options): void {
  if (!PROFILE_NAME.test(name)) {
    throw new TunnelError('USAGE', `Cannot name a profile ${name}: lower-case letters, digits, dots, - and _ only`);
  }
  if (taken.has(name) && !options.flag('force')) throw thereAlready(name);
}

function thereAlready(name: string): TunnelError {
  return new TunnelError('USAGE', `Cannot write the profile ${name}: there is one of that name`, {
    hint: `Change it with \`tunnel edit ${name}\`, or replace it with --force.`,
  });
}

/** Shows what was written, and what comes next. */
function report(name: string, file: string, text: string, { json, out }: Context): void {
  if (json) return out.json({ version: 1, name, file });
  out.data(`${file}:\n`);
  out.data(text.trimEnd());
  out.say(`\nStart it with: ${out.talkTheme.strong(`tunnel up ${name}`)}`);
}
