import type { Protocol } from './protocol.ts';

/** A server's SSH_MSG_DISCONNECT (RFC 4253 section 11.1), as an error that `connectionFailure` knows by its code. */
export class Farewell extends Error {
  readonly code: number;

  constructor(reason: number, text: string) {
    super(text);
    this.code = reason;
  }
}

/**
 * Hears every farewell. ssh2 1.17.0 tells nobody of one for reason 11 (by application) and goes on as if there were a
 * connection, for as long as the server leaves its socket open.
 */
export function hearFarewell(protocol: Protocol, heard: (farewell: Farewell) => void): void {
  protocol._handlers.DISCONNECT = (_self, reason, text) => heard(new Farewell(reason, text));
}
