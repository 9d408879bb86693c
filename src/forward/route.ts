import type { Socket } from 'node:net';
import type { Endpoint } from '../model/endpoint.ts';
import type { TunnelError } from '../model/failure.ts';
import type { Dial } from './dial.ts';

/** What makes one kind of forward differ from another once a client is accepted: source × negotiation × dial. */
export interface Route {
  /** Where it leads, for status and messages. */
  readonly label: string;
  readonly negotiate: Negotiate;
  readonly dial: Dial;
}

/** Says where a client goes, after talking with it where its protocol asks for that. Rejects when the two cannot agree. */
export type Negotiate = (socket: Socket, signal: AbortSignal) => Promise<Bargain>;

export interface Bargain {
  readonly target: Endpoint;
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
