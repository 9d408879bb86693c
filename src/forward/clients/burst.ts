import type { Clock } from '../../model/clock.ts';
import type { FailureCode } from '../../model/failure.ts';

/** What a forward has to say to its log. */
export type NoteLevel = 'info' | 'warn' | 'error';
export type OnNote = (level: NoteLevel, message: string, code?: FailureCode, repeated?: number) => void;

/** A second line on the same trouble comes this much later: soon enough to follow, rare enough for a log. */
const FOLD_MS = 10_000;
/** Different troubles told apart at once; a flood that invents texts is folded by its code from there on. */
const MOST_KINDS = 32;

interface Fold {
  readonly level: NoteLevel;
  readonly code: FailureCode | undefined;
  /** The latest wording. */
  message: string;
  /** So many since the last line. */
  unsaid: number;
  readonly cancel: () => void;
}

/** Says the first of its kind at once, then at most a line every 10 s that counts those between. */
export class Burst {
  readonly #clock: Clock;
  readonly #say: OnNote;
  readonly #folds = new Map<string, Fold>();

  constructor(clock: Clock, say: OnNote) {
    this.#clock = clock;
    this.#say = say;
  }

  note(level: NoteLevel, message: string, code?: FailureCode): void {
    const key = this.#folds.size < MOST_KINDS || this.#folds.has(message) ? message : (code ?? level);
    const fold = this.#folds.get(key);
    if (fold !== undefined) {
      fold.unsaid += 1;
      fold.message = message;
      return;
    }
    this.#open(key, { level, code, message });
    this.#say(level, message, code);
  }

  /** Says what is unsaid, and waits for nothing any more. */
  flush(): void {
    for (const fold of this.#folds.values()) {
      fold.cancel();
      this.#tell(fold);
    }
    this.#folds.clear();
  }

  #open(key: string, first: Pick<Fold, 'level' | 'code' | 'message'>): void {
    this.#folds.set(key, { ...first, unsaid: 0, cancel: this.#clock.after(FOLD_MS, () => this.#elapsed(key)) });
  }

  #elapsed(key: string): void {
    const fold = this.#folds.get(key);
    this.#folds.delete(key);
    if (fold === undefined || fold.unsaid === 0) return; // calm again: the next one is news
    this.#tell(fold);
    this.#open(key, fold);
  }

  #tell({ level, message, code, unsaid }: Fold): void {
    if (unsaid > 0) this.#say(level, message, code, unsaid);
  }
}
