import { PROFILE_NAME } from '../../model/profile.ts';
import { askText } from '../prompts.ts';

/** Whether a profile of that name would be replaced. */
export type IsTaken = (name: string) => boolean;

/** Asks what to call the profile; `suggestion` with the first free number behind it is the default. */
export async function askName(suggestion: string, isTaken: IsTaken, signal: AbortSignal): Promise<string> {
  const fallback = freeName(suggestion, isTaken);
  const name = await askText(
    {
      message: 'Name of the profile:',
      ...(fallback === '' ? {} : { fallback }),
      validate: (typed) => {
        if (!PROFILE_NAME.test(typed.trim()))
          return 'Lower-case letters, digits, dots, - and _; a letter or digit first';
        return !isTaken(typed.trim()) || `${typed.trim()} is there already`;
      },
    },
    signal,
  );
  return name.trim();
}

/** The suggestion, or `suggestion-2` and so on where it is taken; '' where it cannot be a name. */
export function freeName(suggestion: string, isTaken: IsTaken): string {
  if (!PROFILE_NAME.test(suggestion)) return '';
  let name = suggestion;
  for (let number = 2; isTaken(name); number += 1) name = `${suggestion}-${number}`;
  return name;
}

/** Asks for a line that says what the profile is for; it may be empty. */
export async function askDescription(fallback: string, signal: AbortSignal): Promise<string> {
  return (await askText({ message: 'Description:', fallback }, signal)).trim();
}
