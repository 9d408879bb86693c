import { spawn, type ChildProcess } from 'node:child_process';

/** One call of keytar's: the method and its arguments. */
export type KeytarCall =
  | readonly ['getPassword' | 'deletePassword', service: string, account: string]
  | readonly ['setPassword', service: string, account: string, password: string]
  | readonly ['findCredentials', service: string];

/** The library runs in the child, and only there. Calls come by stdin and answers leave by stdout: neither is seen by others. */
const CHILD = `
let text = '';
for await (const chunk of process.stdin) text += chunk;
const { library, calls } = JSON.parse(text);
const answer = {};
try {
  const { default: keytar } = await import(library);
  const values = [];
  for (const [method, ...args] of calls) values.push((await keytar[method](...args)) ?? null);
  answer.values = values;
} catch (error) {
  answer.error = String(error?.message ?? error);
}
process.stdout.write(JSON.stringify(answer), () => process.exit());
`;

export interface KeytarSettings {
  /** URL of the library. */
  readonly library: string;
  readonly deadlineMs: number;
}

/**
 * Makes the calls in turn in a process of its own, and resolves with their results. A call of keytar's cannot be
 * cancelled: a keychain that hangs would hold a thread of ours, and keep us from ending for 50 s (seen with a stopped
 * gnome-keyring). A process can be killed; a fault in the native library ends it instead of us, too.
 * Rejects with the library's own words, and with an Error that says how it ended.
 */
export function callKeytar(calls: readonly KeytarCall[], settings: KeytarSettings): Promise<readonly unknown[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', CHILD], {
      stdio: ['pipe', 'pipe', 'ignore'],
      windowsHide: true,
    });
    let printed = '';
    const patience = setTimeout(() => {
      child.kill('SIGKILL');
      reject(
        new Error(`it did not answer within ${settings.deadlineMs / 1000} s: it may wait for somebody to unlock it`),
      );
    }, settings.deadlineMs);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk));
    child.stdin.on('error', () => undefined); // it ended before it read: `close` says how
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(patience);
      try {
        resolve(readAnswer(printed, child));
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
    child.stdin.end(JSON.stringify({ library: settings.library, calls }));
  });
}

function readAnswer(printed: string, { exitCode, signalCode }: ChildProcess): readonly unknown[] {
  if (printed === '') throw new Error(`its library broke (${signalCode ?? `status ${exitCode ?? 'unknown'}`})`);
  const answer: unknown = JSON.parse(printed);
  if (typeof answer === 'object' && answer !== null) {
    if ('values' in answer && Array.isArray(answer.values)) return answer.values;
    if ('error' in answer && typeof answer.error === 'string') throw new Error(answer.error);
  }
  throw new Error('its library gave no answer');
}
