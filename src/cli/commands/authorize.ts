import { cleanLine } from '../../model/clean.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { subjectOf, type Subject } from '../authorize/subject.ts';
import { refuseShared, useKey } from '../authorize/use-key.ts';

/** `tunnel authorize NAME`: a key that can do what the profile needs and nothing else. */
export const run: Run = async ([argument = ''], options, context) => {
  const subject = await subjectOf(argument, options.text('key'), context);
  const use = options.flag('use');
  if (use) refuseShared(subject.profile);
  if (!context.json) show(subject, context);
  const used = use && (await useKey(subject, context));
  if (context.json) return context.out.json({ ...factsOf(subject), used });
  if (used) context.out.say(`${subject.plan.name} logs in with this key from now on.`);
};

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
