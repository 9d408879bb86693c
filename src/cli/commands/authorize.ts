import { cleanLine } from '../../model/clean.ts';
import type { Installed } from '../../authorize/install.ts';
import { install, prove, uninstall, wasInstalled } from '../authorize/at-server.ts';
import { subjectOf, type Subject } from '../authorize/subject.ts';
import { refuseShared, useKey, usesKey } from '../authorize/use-key.ts';
import { readWish, type Wish } from '../authorize/wish.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { isRunning, profileOf } from '../profiles/profile-file.ts';
import { askYesNo } from '../prompts.ts';
import { stepJson, type TriedStep } from '../render/step.ts';

/** `tunnel authorize NAME`: a key that can do what the profile needs and nothing else. The code is that of the first step that fails. */
export const run: Run = async ([argument = ''], options, context) => {
  const wish = readWish(options, context.interactive && !context.json);
  const profile = await profileOf(argument, context);
  if (wish.use) refuseShared(profile);
  const subject = await subjectOf(profile, options.text('key'), context);
  if (wish.remove) return remove(subject, context);
  if (!context.json) show(subject, context);
  const done = await carryOut(subject, wish, context);
  const failure = done.steps?.find(({ error }) => error !== undefined)?.error;
  if (context.json) context.out.json({ ...factsOf(subject), ...doneJson(done) });
  else if (failure === undefined) tell(subject, done, context);
  return failure?.exit ?? 0;
};

/** What was done, beside the key and its line. */
interface Done {
  readonly installed: Installed | undefined;
  /** Undefined where nothing was tried. */
  readonly steps: readonly TriedStep[] | undefined;
  readonly used: boolean;
}

async function carryOut(subject: Subject, wish: Wish, context: Context): Promise<Done> {
  const { plan, account, profile } = subject;
  const asked = async (question: string): Promise<boolean> =>
    wish.mayAsk && (await askYesNo(question, false, context.signal));
  const installs = wish.install || (await asked(`Put it there now, over the login that works today (${account})?`));
  const tried = installs ? await putThere(subject, context) : await onlyProve(subject, wish, context);
  if (tried.steps?.some(({ error }) => error !== undefined) === true) return { ...tried, used: false };
  const asks = tried.steps !== undefined && profile.origin !== 'project';
  const uses = wish.use || (asks && (await asked(`Have ${plan.name} log in with this key from now on?`)));
  return { ...tried, used: uses && (await useKey(subject, context)) };
}

type Tried = Pick<Done, 'installed' | 'steps'>;

/**
 * Where the profile logs in with the key already, there may be no other login left to look at the server with: the key itself
 * then shows that its line, which this command put there, is there still.
 */
async function putThere(subject: Subject, context: Context): Promise<Tried> {
  const mayBeThere = usesKey(subject.server, subject.key.file) && (await wasInstalled(subject));
  const steps = mayBeThere ? await prove(subject, undefined, context) : [];
  const [login] = steps;
  if (login !== undefined && login.error?.code !== 'LOGIN_REFUSED') {
    return { installed: login.error === undefined ? { state: 'present', loose: [] } : undefined, steps };
  }
  const installed = await install(subject, context);
  if (!context.json) context.out.say(SAID[installed.state]);
  return { installed, steps: await prove(subject, installed, context) };
}

async function onlyProve(subject: Subject, wish: Wish, context: Context): Promise<Tried> {
  return { installed: undefined, steps: wish.prove ? await prove(subject, undefined, context) : undefined };
}

const SAID = {
  added: 'Added the line to ~/.ssh/authorized_keys there.',
  replaced: 'Put the line in the place of an older one in ~/.ssh/authorized_keys there.',
  present: 'The line is in ~/.ssh/authorized_keys there already.',
} as const;

/** The line is data, for a pipe; all else is talk. */
function show({ plan, key, made, account, line, limits, jumps }: Subject, { out }: Context): void {
  for (const warning of plan.warnings) out.say(cleanLine(warning));
  out.say(`${made ? 'Made a key for this profile alone' : 'The key is'}: ${key.file} (${key.fingerprint})`);
  out.say(out.talkTheme.dim(`The line for ~/.ssh/authorized_keys of ${account}:`));
  out.data(line);
  for (const note of limits.notes) out.warn(`${out.talkTheme.warn('note:')} ${cleanLine(note)}`);
  for (const { hop, permitopen } of jumps) {
    out.say(`${hop} is a jump host: a key that is limited there needs permitopen="${permitopen}".`);
  }
}

function tell({ plan: { name } }: Subject, { steps, used }: Done, { out }: Context): void {
  const next = (verb: string): string => out.talkTheme.strong(`tunnel ${verb}`);
  if (steps !== undefined) out.say('The key does what the profile needs; what was tried beyond that is refused.');
  if (used)
    out.say(`${name} logs in with this key from now on${steps === undefined ? ', which nobody has tried yet' : ''}.`);
  if (steps === undefined) out.say(`Once the line is there: ${next(`authorize ${name} --prove`)}`);
  else if (used) out.say(`Where it is up: ${next(`restart ${name}`)}`);
}

async function remove(subject: Subject, context: Context): Promise<void> {
  const { plan, account, key } = subject;
  const removed = await uninstall(subject, context);
  if (context.json) return context.out.json({ ...factsOf(subject), removed });
  const { out } = context;
  out.say(removed === 0 ? `No line of this key is at ${account}.` : `The key opens nothing at ${account} any more.`);
  const stays = `${key.file} stays`;
  if (!subject.server.identities.some(({ file }) => file === key.file)) return out.say(`${stays}.`);
  const running = (await isRunning(plan.name, context)) ? 'is up with it, and ' : '';
  out.say(`${stays}; ${plan.name} ${running}still logs in with it: \`tunnel edit ${plan.name}\`.`);
}

function factsOf({ plan, account, key, made, line, limits, jumps }: Subject): object {
  const { file, type, fingerprint } = key;
  return {
    version: 1,
    name: plan.name,
    account,
    key: { file, type, fingerprint, made },
    line,
    notes: limits.notes,
    jumps,
  };
}

function doneJson({ installed, steps, used }: Done): object {
  const ok = steps?.every(({ error }) => error === undefined);
  return {
    installed: installed?.state ?? null,
    proof: steps === undefined ? null : { ok, steps: steps.map(stepJson) },
    used,
  };
}
