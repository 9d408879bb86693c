import type { Endpoint } from '../../model/endpoint.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Dial } from './dial.ts';
import type { Parley } from '../parley/parley.ts';
import type { HealthSource } from '../forward-context.ts';

/** What makes one kind of forward differ from another once a client is accepted: source × negotiation × dial. */
export interface Route {
  /** Where it leads, for status and messages. */
  readonly label: string;
  /** Whom a health probe asks, and how; null where nobody is named. A probe is no use of the forward. */
  readonly probed: { readonly target: Endpoint; readonly dial: Dial } | null;
  /** Rejects while nobody could be served; asked before each bind. */
  ready?(): Promise<void>;
  /** Replaces the probe of the one target that most kinds have. */
  readonly health?: HealthSource;
  readonly negotiate: Negotiate;
  readonly dial: Dial;
}

/**
 * Says where a client goes, after talking with it where its protocol asks for that. Rejects when the two cannot agree,
 * with CLIENT_GONE where the client left without a word.
 */
export type Negotiate = (client: Parley, signal: AbortSignal) => Promise<Bargain>;

/** A client that goes away before it is served is no failure: nobody is told of it. */
export const CLIENT_GONE = new TunnelError('STOPPED', 'The client has gone');

export interface Bargain {
  /** Where it leads, as far as is known: final once the channel is open. */
  readonly target: Endpoint;
  /** How this client's target is reached, where not as the route says. */
  dial?: Dial;
  /** The channel is open: last words to the client before its bytes flow. */
  opened?(): void;
  /** It could not be opened: last words before the socket is closed. */
  failed?(error: TunnelError): void;
}

/** Every client goes to the same place, without a word. */
export function fixedTarget(target: Endpoint): Negotiate {
  const bargain = Promise.resolve({ target });
  return () => bargain;
}
