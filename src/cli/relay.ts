import type { ControlClient } from '../control/client.ts';
import { clean, cleanLine } from '../model/clean.ts';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import type { OpenQuestion } from '../model/request.ts';
import type { Context } from './context.ts';
import type { Output } from './output.ts';
import type { Terminal } from './prompts.ts';

/** Puts the supervisor's questions to the person at this terminal, one at a time. */
export interface QuestionRelay {
  /** A question stands on the terminal now: time that a person takes is not time that a tunnel takes. */
  readonly asking: boolean;
  /** Calls back whenever `asking` changes. */
  onChange(listener: () => void): void;
  /** Takes the open question off the terminal and asks no more; it stays open for others. Safe to call twice. */
  close(): void;
}

/** How a question is put to a person: `prompts.ts`, or a test's own. Resolves with the answer in plain text. */
export type PutQuestion = (question: OpenQuestion, signal: AbortSignal) => Promise<string>;

/** Begins at once: make it before the call that may bring questions. It ends with the client. */
export function relayQuestions(
  client: ControlClient,
  context: Context,
  put: PutQuestion = (question, signal) => putQuestion(question, signal, context.out),
): QuestionRelay {
  const relay = new Relay(client, context, put);
  const stops = [
    client.on('question', (question) => relay.add(question)),
    client.on('withdrawn', ({ id }) => relay.withdraw(id)),
  ];
  void client.closed.then(() => relay.close());
  return {
    get asking() {
      return relay.asking;
    },
    onChange: (listener) => relay.onChange(listener),
    close: () => {
      for (const stop of stops) stop();
      relay.close();
    },
  };
}

const WITHDRAWN = new TunnelError('STOPPED', 'The question was answered elsewhere, or is no longer asked');

class Relay {
  readonly #client: ControlClient;
  readonly #context: Context;
  readonly #put: PutQuestion;
  readonly #queue: OpenQuestion[] = [];
  readonly #listeners = new Set<() => void>();
  #current: { readonly id: string; readonly stop: AbortController } | undefined;
  #closed = false;

  constructor(client: ControlClient, context: Context, put: PutQuestion) {
    this.#client = client;
    this.#context = context;
    this.#put = put;
  }

  get asking(): boolean {
    return this.#current !== undefined;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  add(question: OpenQuestion): void {
    if (this.#closed) return;
    this.#queue.push(question);
    this.#next();
  }

  withdraw(id: string): void {
    const at = this.#queue.findIndex((question) => question.id === id);
    if (at >= 0) this.#queue.splice(at, 1);
    if (this.#current?.id === id) this.#current.stop.abort(WITHDRAWN);
  }

  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.#current?.stop.abort(WITHDRAWN);
  }

  #next(): void {
    if (this.#current !== undefined) return;
    const question = this.#queue.shift();
    if (question === undefined) return;
    const stop = new AbortController();
    this.#current = { id: question.id, stop };
    this.#changed();
    void this.#handle(question, AbortSignal.any([stop.signal, this.#context.signal])).finally(() => {
      this.#current = undefined;
      this.#changed();
      this.#next();
    });
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Never rejects: what goes wrong is said, and ends the command only where the person wants it ended. */
  async #handle(question: OpenQuestion, signal: AbortSignal): Promise<void> {
    const { out } = this.#context;
    try {
      const answer = await this.#put(question, signal);
      const { accepted } = await this.#client.call('answer', { id: question.id, answer });
      if (!accepted) out.say('That question was answered elsewhere, or is no longer asked.');
    } catch (thrown) {
      const error = asTunnelError(thrown);
      if (thrown === WITHDRAWN) {
        if (!this.#closed) out.say('\nThe question was answered elsewhere, or is no longer asked.');
      } else if (error.code === 'INTERRUPTED') {
        await this.#client.call('decline', { id: question.id }).catch(() => undefined); // the line may be gone already
        this.#context.interrupt();
      } else if (error.code !== 'SUPERVISOR_UNREACHABLE') out.warn(cleanLine(error.message)); // that one, the command itself meets
    }
  }
}

/** On the terminal: what there is to read first, then the prompt; the typing hidden unless it may be seen. */
export async function putQuestion(
  question: Pick<OpenQuestion, 'kind' | 'prompt' | 'detail' | 'echo'>,
  signal: AbortSignal,
  out: Pick<Output, 'warn'>,
  terminal?: Terminal,
): Promise<string> {
  const { askSecret, askText, askYesNo } = await import('./prompts.ts');
  const message = cleanLine(question.prompt);
  if (question.detail !== '') out.warn(clean(question.detail));
  if (question.kind === 'host-key')
    return wholeAnswer(await askText({ message, validate: isHostKeyAnswer }, signal, terminal));
  if (question.kind === 'confirm') return (await askYesNo(message, false, signal, terminal)) ? 'yes' : 'no';
  return question.echo ? askText({ message }, signal, terminal) : (await askSecret(message, signal, terminal)).reveal();
}

/** As ssh has it: no answer by a bare Enter, and the fingerprint itself may be typed or pasted for yes. */
function isHostKeyAnswer(text: string): true | string {
  return /^(?:y|yes|n|no|SHA256:\S+)$/i.test(text.trim()) || 'Please type yes, no or the fingerprint.';
}

function wholeAnswer(text: string): string {
  const answer = text.trim();
  return { y: 'yes', n: 'no' }[answer.toLowerCase()] ?? answer;
}
