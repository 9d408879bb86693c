import { randomUUID } from 'node:crypto';
import type { Question } from '../link/ask.ts';
import type { Clock } from '../model/clock.ts';
import { TunnelError } from '../model/failure.ts';
import type { OpenQuestion } from '../model/request.ts';
import { Secret } from '../model/secret.ts';

/** Below the 120 s that sshd's LoginGraceTime gives a login: our own word comes before the server hangs up. */
export const ANSWER_WITHIN_MS = 100_000;

/** Somebody on a terminal. One object stands for one person: the same object attends, declines and leaves. */
export interface Attendant {
  /** Shows the question. An attendant that throws here is taken for gone. */
  ask(question: OpenQuestion): void;
  /** Answered elsewhere, or no longer needed. */
  withdrawn(id: string): void;
}

/** Relays the questions of links to the people who attend: the first answer counts, and the last refusal. */
export class Questions {
  readonly #clock: Clock;
  readonly #onChange: (tunnel: string) => void;
  /** Whose questions each one answers; null is every tunnel's. */
  readonly #attendants = new Map<Attendant, ReadonlySet<string> | null>();
  readonly #pending = new Map<string, Pending>();

  /** @param onChange told after a question of that tunnel was opened or closed */
  constructor(clock: Clock, onChange: (tunnel: string) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** From now on shows this person the questions of these tunnels (null: of all), the open ones at once. Adds to what they attend already. */
  attend(names: readonly string[] | null, attendant: Attendant): void {
    const before = this.#attendants.get(attendant);
    const all = names === null || before === null;
    this.#attendants.set(attendant, all ? null : new Set([...(before ?? []), ...names]));
    const shown = [...this.#pending.values()].map((pending) => this.#show(pending, attendant));
    if (shown.includes(false)) this.detach(attendant);
  }

  /** The person left: what nobody else attends is given up. Safe to call twice. */
  detach(attendant: Attendant): void {
    if (!this.#attendants.delete(attendant)) return;
    for (const pending of [...this.#pending.values()]) {
      pending.shown.delete(attendant);
      this.#giveUpUnattended(pending, 'everybody who could be asked has left');
    }
  }

  attended(tunnel: string): boolean {
    return [...this.#attendants.values()].some((names) => names === null || names.has(tunnel));
  }

  openCount(tunnel: string): number {
    return [...this.#pending.values()].filter(({ question }) => question.tunnel === tunnel).length;
  }

  /** Every question that is open now, oldest first. */
  get open(): readonly OpenQuestion[] {
    return [...this.#pending.values()].map(({ question }) => question);
  }

  /**
   * The `Ask` of one tunnel's links. Rejects with NEEDS_PERSON when nobody attends, everybody declines or leaves, or no
   * answer came within ANSWER_WITHIN_MS; with the signal's reason when the login ended first.
   */
  ask(tunnel: string, question: Question, signal: AbortSignal): Promise<Secret> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (!this.attended(tunnel)) return Promise.reject(needsPerson(question, 'nobody is there to be asked'));
    return new Promise((resolve, reject) => {
      const id = randomUUID();
      const { kind, subject, prompt, detail, echo } = question;
      const withdraw = (): void => this.#close(pending, () => reject(signal.reason as Error));
      const cancelTimer = this.#clock.after(ANSWER_WITHIN_MS, () =>
        this.#giveUp(pending, `nobody answered within ${ANSWER_WITHIN_MS / 1000} s`),
      );
      const release = (): void => {
        cancelTimer();
        signal.removeEventListener('abort', withdraw);
      };
      const shown = { id, tunnel, kind, subject, prompt, detail, echo };
      const pending: Pending = { question: shown, shown: new Set(), declined: new Set(), resolve, reject, release };
      signal.addEventListener('abort', withdraw, { once: true });
      this.#pending.set(id, pending);
      this.#onChange(tunnel);
      const gone = [...this.#attendants.keys()].filter((attendant) => !this.#show(pending, attendant));
      for (const attendant of gone) this.detach(attendant); // after the others were asked, who may still answer
    });
  }

  /** @returns false where the question is not open any more */
  answer(id: string, text: string, from?: Attendant): boolean {
    const pending = this.#pending.get(id);
    if (pending === undefined) return false;
    if (from !== undefined) pending.shown.delete(from); // whoever answered needs no word of it
    this.#close(pending, () => pending.resolve(new Secret(text)));
    return true;
  }

  /** This person will not answer; the question stays open for the others. @returns false where it is not open any more */
  decline(id: string, attendant: Attendant): boolean {
    const pending = this.#pending.get(id);
    if (pending === undefined) return false;
    pending.declined.add(attendant);
    pending.shown.delete(attendant);
    this.#giveUpUnattended(pending, 'everybody who was asked declined');
    return true;
  }

  /** @returns false where the terminal cannot be written to: whoever sat there is gone */
  #show(pending: Pending, attendant: Attendant): boolean {
    const names = this.#attendants.get(attendant);
    const concerned = names === null || names?.has(pending.question.tunnel) === true;
    if (!concerned || pending.shown.has(attendant) || pending.declined.has(attendant)) return true;
    pending.shown.add(attendant);
    return reaches(() => attendant.ask(pending.question));
  }

  #giveUpUnattended(pending: Pending, why: string): void {
    if (pending.shown.size === 0) this.#giveUp(pending, why);
  }

  #giveUp(pending: Pending, why: string): void {
    this.#close(pending, () => pending.reject(needsPerson(pending.question, why)));
  }

  #close(pending: Pending, settle: () => void): void {
    if (!this.#pending.delete(pending.question.id)) return;
    pending.release();
    settle();
    const gone = [...pending.shown].filter((attendant) => !reaches(() => attendant.withdrawn(pending.question.id)));
    for (const attendant of gone) this.detach(attendant);
    this.#onChange(pending.question.tunnel);
  }
}

/** Whether the terminal took it: one that throws is closed, and its own process knows why. */
function reaches(tell: () => void): boolean {
  try {
    tell();
    return true;
  } catch {
    return false;
  }
}

interface Pending {
  readonly question: OpenQuestion;
  /** Who sees it now. */
  readonly shown: Set<Attendant>;
  readonly declined: Set<Attendant>;
  readonly resolve: (answer: Secret) => void;
  readonly reject: (error: unknown) => void;
  /** Lets go of the timer and the signal. */
  readonly release: () => void;
}

const WANTED: Record<Question['kind'], string> = {
  passphrase: 'a passphrase is needed',
  password: 'a password is needed',
  code: 'a code is needed',
  'host-key': 'its host key is new',
  confirm: 'a confirmation is needed',
};

function needsPerson({ kind, subject }: Pick<Question, 'kind' | 'subject'>, why: string): TunnelError {
  const verb = kind === 'passphrase' ? 'unlock' : 'log in to';
  return new TunnelError('NEEDS_PERSON', `Cannot ${verb} ${subject}: ${WANTED[kind]}, and ${why}`);
}
