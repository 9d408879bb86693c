import type { TcpEndpoint } from '../model/endpoint.ts';

/** What one proxy port speaks; a client shows by its first byte which of them it means. */
export type Protocol = 'socks5' | 'socks4' | 'http';

/** Where a conversation stands: `start` until the protocol is known, then whatever its next message is. */
export type Stage = 'start' | 'socks5-login' | 'socks5-request' | 'socks4-request' | 'http-request';

/** What a client said of itself. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** What the bytes of a client come to. `taken`: so many of them are used up; the rest is what the client says next. */
export type Step =
  /** They may still become anything: more are needed. */
  | { readonly name: 'more' }
  | { readonly name: 'answer'; readonly taken: number; readonly reply: Buffer; readonly next: Stage }
  /** Judge the login, then send the one reply or the other and go on at `next`, or end. */
  | {
      readonly name: 'login';
      readonly taken: number;
      readonly credentials: Credentials;
      readonly accepted: Buffer;
      readonly refused: Buffer;
      readonly next: Stage;
    }
  | {
      readonly name: 'connect';
      readonly taken: number;
      readonly protocol: Protocol;
      /** A name is held as the client gave it: who dials resolves it. */
      readonly target: TcpEndpoint;
    }
  /** Nothing will come of it: send the reply, empty where the protocol has none, and close. */
  | { readonly name: 'refuse'; readonly reply: Buffer; readonly why: string };
