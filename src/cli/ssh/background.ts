import { spawn, type ChildProcess } from 'node:child_process';
import type { Ask, Question } from '../../link/ask.ts';
import { TunnelError } from '../../model/failure.ts';
import { Secret } from '../../model/secret.ts';
import { FAILED } from './session.ts';

/** Says to a child of ours that it is one. */
const MARK = 'TUNNEL_SSH_BACKGROUND';

type FromChild =
  | { readonly kind: 'say'; readonly line: string }
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question }
  | { readonly kind: 'ready' };
type ToChild = { readonly id: number; readonly answer: string | null };

/** The face of the starting process, as its child in the background sees it. */
export interface Starter {
  say(line: string): void;
  readonly ask: Ask;
  /** Logged in, and all listeners are there: the starter ends with 0. */
  ready(): void;
}

/** Of the child of `runInBackground`; undefined in any other process. */
export function starter(env: Readonly<Record<string, string | undefined>>): Starter | undefined {
  if (env[MARK] !== '1' || process.send === undefined) return undefined;
  let nextId = 0;
  const waiting = new Map<number, (answer: string | null) => void>();
  process.on('message', ({ id, answer }: ToChild) => waiting.get(id)?.(answer));
  let ready = false;
  process.on('disconnect', () => {
    if (!ready) process.exit(FAILED); // whoever started us has gone before we were there
  });
  return {
    say: (line) => void (process.connected && process.send?.({ kind: 'say', line } satisfies FromChild)),
    ask: (question, signal) =>
      new Promise((resolve, reject) => {
        const id = (nextId += 1);
        const withdrawn = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error('withdrawn'));
        signal.addEventListener('abort', withdrawn, { once: true });
        waiting.set(id, (answer) => {
          if (answer !== null) return resolve(new Secret(answer));
          reject(new TunnelError('NEEDS_PERSON', `Cannot log in to ${question.subject}: nobody can be asked here`));
        });
        process.send?.({ kind: 'ask', id, question } satisfies FromChild);
      }),
    ready: () => {
      ready = true;
      process.send?.({ kind: 'ready' } satisfies FromChild, () => process.disconnect());
    },
  };
}

/**
 * -f: starts the same command line in a process of its own session, puts its questions to the person here, and resolves
 * with 0 once it is logged in and listens, or with its exit code.
 */
export function runInBackground(
  argv: readonly string[],
  talk: { readonly say: (line: string) => void; readonly ask: Ask; readonly signal: AbortSignal },
): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...argv], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { ...process.env, [MARK]: '1' },
  });
  const stop = (): void => void child.kill('SIGTERM');
  talk.signal.addEventListener('abort', stop, { once: true });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? FAILED));
    child.on('message', (message: FromChild) => {
      if (message.kind === 'say') talk.say(message.line);
      else if (message.kind === 'ask') void relay(child, message, talk);
      else {
        talk.signal.removeEventListener('abort', stop);
        child.unref();
        resolve(0);
      }
    });
  });
}

async function relay(
  child: ChildProcess,
  { id, question }: Extract<FromChild, { kind: 'ask' }>,
  { ask, signal }: { readonly ask: Ask; readonly signal: AbortSignal },
): Promise<void> {
  const answer = await ask(question, signal).then(
    (secret) => secret.reveal(),
    () => null, // nobody is there, or nobody wants to
  );
  if (child.connected) child.send({ id, answer } satisfies ToChild);
}
