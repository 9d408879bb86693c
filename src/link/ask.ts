import type { Secret } from '../model/secret.ts';

/** A question to a person that a login cannot go on without. All texts are clean already. */
export interface Question {
  readonly kind: 'passphrase' | 'password' | 'code' | 'host-key' | 'confirm';
  /** Who asks: `alice@pop.example.org:22`, for people and for finding a stored secret. */
  readonly subject: string;
  /** One line, ending as a prompt does: `Passphrase for ~/.ssh/id_mail:`. */
  readonly prompt: string;
  /** What to read before answering: a fingerprint, the server's own instruction. May have several lines. */
  readonly detail: string;
  /** Whether the typing may be seen. */
  readonly echo: boolean;
}

/**
 * Asks a person and resolves with the answer: for `host-key` and `confirm` the text is `yes` or `no`.
 * Rejects with NEEDS_PERSON when nobody is there to be asked or nobody answered in time, with the signal's reason
 * when the login ended first: then the question is withdrawn from every terminal.
 */
export type Ask = (question: Question, signal: AbortSignal) => Promise<Secret>;
