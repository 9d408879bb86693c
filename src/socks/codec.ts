import { readHttp } from './http-connect.ts';
import { refusal } from './replies.ts';
import { readSocks4 } from './socks4.ts';
import { readSocks5 } from './socks5.ts';
import type { Stage, Step } from './step.ts';

/**
 * Reads the next message of a proxy client: SOCKS5 (RFC 1928, 1929), SOCKS4 and 4a, HTTP CONNECT (RFC 9110 section 9.3.6).
 * Never throws, whatever the bytes; each message has a cap, beyond which it is refused.
 * @param bytes all that the client said and no step has taken
 * @param loginRequired whether the client must say who it is before it may ask for anything
 */
export function readProxy(stage: Stage, bytes: Buffer, loginRequired: boolean): Step {
  const [first] = bytes;
  if (first === undefined) return { name: 'more' };
  switch (stage) {
    case 'start':
      return readFirst(first, bytes, loginRequired);
    case 'socks5-login':
    case 'socks5-request':
      return readSocks5(stage, bytes, loginRequired);
    case 'socks4-request':
      return readSocks4(bytes, loginRequired);
    case 'http-request':
      return readHttp(bytes, false);
  }
}

function readFirst(first: number, bytes: Buffer, loginRequired: boolean): Step {
  if (first === 5) return readSocks5('start', bytes, loginRequired);
  if (first === 4) return readSocks4(bytes, loginRequired);
  // Methods are tokens, and those in use begin with a capital letter (RFC 9110 section 9.1).
  if (first >= 0x41 && first <= 0x5a) return readHttp(bytes, loginRequired);
  return refusal(Buffer.alloc(0), 'it speaks neither SOCKS nor HTTP');
}
