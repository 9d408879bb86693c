import { TunnelError } from '../model/failure.ts';
import { Secret } from '../model/secret.ts';

/** One line of a menu. `detail` is shown for the line that the cursor is on. */
export interface Choice {
  readonly value: string;
  readonly label: string;
  readonly detail?: string;
  readonly checked?: boolean;
}
export interface TextQuestion {
  readonly message: string;
  /** Taken on a bare Enter. */
  readonly fallback?: string;
  /** `true`, or why the text cannot be taken: it is shown, and the person is asked again. */
  readonly validate?: (text: string) => true | string | Promise<true | string>;
}

/** Where a person is asked: the standard streams, unless a command keeps those for data. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

/** Asks for a line of text. As every prompt here: on stderr, and INTERRUPTED on Ctrl-C, the signal's reason when that aborts. */
export async function askText(question: TextQuestion, signal: AbortSignal, terminal?: Terminal): Promise<string> {
  const { message, fallback, validate } = question;
  const answer = await ask(
    {
      type: 'input',
      message,
      ...(fallback === undefined ? {} : { default: fallback }),
      ...(validate === undefined ? {} : { validate }),
    },
    signal,
    terminal,
  );
  return String(answer);
}

/** Asks for a text that nobody may see, not even its length. */
export async function askSecret(message: string, signal: AbortSignal, terminal?: Terminal): Promise<Secret> {
  return new Secret(String(await ask({ type: 'password', message }, signal, terminal)));
}

/** Asks yes or no. */
export async function askYesNo(
  message: string,
  fallback: boolean,
  signal: AbortSignal,
  terminal?: Terminal,
): Promise<boolean> {
  return (await ask({ type: 'confirm', message, default: fallback }, signal, terminal)) === true;
}

/** Asks for one of the choices; answers its value. */
export async function askOne(message: string, choices: readonly Choice[], signal: AbortSignal): Promise<string> {
  return String(await ask({ type: 'select', message, choices: choices.map(menuLine) }, signal));
}

/** Asks for some of the choices, at least one; answers their values. */
export async function askMany(message: string, choices: readonly Choice[], signal: AbortSignal): Promise<string[]> {
  const answer = await ask({ type: 'checkbox', message, choices: choices.map(menuLine), required: true }, signal);
  return Array.isArray(answer) ? answer.map(String) : [];
}

interface MenuLine {
  readonly value: string;
  readonly name: string;
  readonly checked: boolean;
  readonly description?: string;
}
function menuLine({ value, label, detail, checked }: Choice): MenuLine {
  return { value, name: label, checked: checked ?? false, ...(detail === undefined ? {} : { description: detail }) };
}

type InquirerQuestion =
  | {
      type: 'input';
      message: string;
      default?: string;
      validate?: (text: string) => true | string | Promise<true | string>;
    }
  | { type: 'password'; message: string }
  | { type: 'confirm'; message: string; default: boolean }
  | { type: 'select'; message: string; choices: MenuLine[] }
  | { type: 'checkbox'; message: string; choices: MenuLine[]; required: boolean; default?: unknown[] };

/** stderr, since stdout is data: `tunnel port pop-mail | …` may ask and still pipe. Inquirer is loaded at the first question. */
async function ask(
  question: InquirerQuestion,
  signal: AbortSignal,
  terminal: Terminal = { input: process.stdin, output: process.stderr },
): Promise<unknown> {
  signal.throwIfAborted();
  const { createPromptModule } = await import('inquirer');
  const prompt = createPromptModule({ ...terminal, signal });
  try {
    const answers: Record<string, unknown> = await prompt([{ ...question, name: 'answer' }]);
    return answers['answer'];
  } catch (thrown) {
    throw translate(thrown, signal);
  }
}

/** Inquirer tells its endings by the error's name. */
function translate(thrown: unknown, signal: AbortSignal): unknown {
  if (!(thrown instanceof Error)) return thrown;
  if (thrown.name === 'AbortPromptError' && signal.aborted) return signal.reason;
  if (thrown.name === 'ExitPromptError') return new TunnelError('INTERRUPTED', 'Interrupted', { cause: thrown });
  return thrown;
}
