import type { Question } from '../link/ask.ts';
import type { Clock } from '../model/clock.ts';
import type { HopPlan } from '../model/plan.ts';
import type { Secret } from '../model/secret.ts';
import type { SecretName } from '../secrets/store.ts';
import type { KeyRing } from './keys/key-ring.ts';

/** Where the window of the last code used is kept, over the process's own end: a code must not be used twice. */
export interface UsedCodes {
  last(subject: string): Promise<number>;
  /** Takes a window for one login. @returns false where another process has taken it, or a later one, meanwhile */
  use(subject: string, step: number): Promise<boolean>;
}

/** What the login to one hop may use. Every wait for a person or a store stops the hop's deadline. */
export interface HopContext {
  readonly hop: HopPlan;
  /** The hop in messages, with its address. */
  readonly name: string;
  /** `user@host:port`: under this its password is kept. */
  readonly subject: string;
  /** Aborted, with the reason, when the connection ends or is given up. */
  readonly signal: AbortSignal;
  readonly keyRing: KeyRing;
  readonly usedCodes: UsedCodes;
  readonly clock: Pick<Clock, 'wallMs' | 'sleep'>;
  /** SSH_AUTH_SOCK of the last caller. */
  readonly agentSocket: string | undefined;
  /** A person is being asked now. */
  readonly asking: boolean;
  onNote(message: string): void;
  /** Rejects with NEEDS_PERSON where nobody answers. */
  ask(question: Question): Promise<Secret>;
  /** A stored secret; undefined where there is none or its store fails, which is noted. NEEDS_PERSON where it is locked and nobody can unlock it. */
  storedSecret(name: SecretName): Promise<Secret | undefined>;
  /** Runs work that waits for a person outside of our questions, such as a touch of a security key. */
  untimed<T>(work: () => Promise<T>): Promise<T>;
}

/** `alice@pop.example.org:22`, or `mail (pop.example.org:22)` where the person wrote an alias. */
export function hopName({ label, host, port }: Pick<HopPlan, 'label' | 'host' | 'port'>): string {
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  if (label.endsWith(address)) return label;
  if (label === host || label.endsWith(`@${host}`)) return `${label.slice(0, label.length - host.length)}${address}`;
  return `${label} (${address})`;
}

export function passwordSubject({ user, host, port }: Pick<HopPlan, 'user' | 'host' | 'port'>): string {
  return `${user}@${host.includes(':') ? `[${host}]` : host}:${port}`;
}
