/** Time as a value that is handed in, so that a test owns it. */
export interface Clock {
  /** Milliseconds that never go back and stand still in no adjustment; no relation to the date. */
  nowMs(): number;
  /** Milliseconds since 1970 UTC, for people and files; it may jump. */
  wallMs(): number;
  /** Calls back once after `delayMs`; the result cancels, and may be called at any time. */
  after(delayMs: number, callback: () => void): () => void;
  /** Resolves after `delayMs`; rejects with the signal's reason when that comes first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}
