import type { Lull } from './lull.ts';
import type { Sharing } from './sharing.ts';
import { UnderWay } from './under-way.ts';

/** Tells of the windows that a server widens (RFC 4254 section 5.2). */
export interface WindowAdjusts {
  /**
   * @param told of so many bytes more, once ssh2 has sent what waited for them
   * @returns ends it; undefined where this ssh2 has another inside
   */
  watch(channel: object, told: (bytes: number) => void): (() => void) | undefined;
}

/** What a channel that sends much has of its connection. */
export interface BulkParts {
  readonly adjusts: WindowAdjusts;
  readonly sharing: Sharing;
  readonly lull: Lull;
  /** The path's, without what waits in queues; undefined before the first one was seen. */
  readonly roundTripMs: () => number | undefined;
}

/** One channel's window at the server. */
export interface PeerWindow {
  /** As it was when the channel opened. */
  readonly firstBytes: number;
  /** What the server would take now. */
  readonly bytes: () => number;
}

/**
 * Holds a channel that sends much to little under way, for as long as somebody speaks in between on its connection: a window of 2 MiB
 * would lie in the kernel's buffers and in the server before each byte of the other. Never for longer than the server takes to
 * widen the window.
 */
export class BulkSend {
  readonly #parts: BulkParts;
  readonly #window: PeerWindow;
  readonly #onRoom: () => void;
  readonly #underWay = new UnderWay();
  readonly #unwatch: (() => void) | undefined;
  #widestBytes: number;
  #adjusts = 0;
  /** It was said that enough is under way. */
  #holding = false;
  #patience: NodeJS.Timeout | undefined;

  /** @param onRoom called when `full` may have become false */
  constructor(channel: object, window: PeerWindow, parts: BulkParts, onRoom: () => void) {
    this.#parts = parts;
    this.#window = window;
    this.#onRoom = onRoom;
    this.#widestBytes = window.firstBytes;
    this.#unwatch = parts.adjusts.watch(channel, (bytes) => this.#adjusted(bytes));
  }

  /** Whether enough is under way. `onRoom` follows. */
  get full(): boolean {
    if (this.#parts.lull.on) return this.#pause();
    if (!this.#parts.sharing.at(performance.now())) return false;
    if (this.#widestBytes - this.#window.bytes() < this.#underWay.mostBytes) return false;
    this.#holding = true;
    this.#watch();
    return true;
  }

  close(): void {
    clearTimeout(this.#patience);
    this.#parts.lull.forget(this.#afterLull);
    this.#unwatch?.();
  }

  #pause(): true {
    this.#holding = true;
    this.#parts.lull.wait(this.#afterLull);
    return true;
  }

  readonly #afterLull = (): void => this.#goOn();

  #adjusted(bytes: number): void {
    this.#adjusts += 1;
    this.#widestBytes = Math.max(this.#widestBytes, this.#window.bytes());
    this.#underWay.adjusted(bytes, performance.now(), this.#parts.roundTripMs());
    this.#goOn();
  }

  #goOn(): void {
    if (!this.#holding) return;
    if (this.#parts.lull.on) return this.#parts.lull.wait(this.#afterLull);
    this.#holding = false;
    this.#onRoom();
  }

  /** A server that waits for more must not wait for ever. */
  #watch(): void {
    if (this.#patience !== undefined) return;
    const seen = this.#adjusts;
    this.#patience = setTimeout(() => {
      this.#patience = undefined;
      if (seen === this.#adjusts && !this.#parts.lull.on) this.#underWay.stalled();
      this.#goOn();
    }, this.#underWay.patienceMs(this.#parts.roundTripMs()));
  }
}
