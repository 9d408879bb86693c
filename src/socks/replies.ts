import type { FailureCode } from '../model/failure.ts';
import type { Protocol, Step } from './step.ts';

/** Why a target was not reached, as far as the protocols have words for it. */
type Denial = 'prohibited' | 'unreachable' | 'refused' | 'late' | 'unavailable';

/** Failures of an open, as a proxy client should hear them; what is not here is a general failure. */
const DENIALS: Readonly<Partial<Record<FailureCode, Denial>>> = {
  TARGET_PROHIBITED: 'prohibited',
  TARGET_REFUSED: 'refused',
  NAME_UNRESOLVED: 'unreachable',
  UNREACHABLE: 'unreachable',
  CONNECT_TIMEOUT: 'late',
  CHANNEL_TIMEOUT: 'late',
  HOLD_EXPIRED: 'late',
  LIMIT_REACHED: 'unavailable',
};

/** RFC 1928 section 6; 1 is a general failure, 6 is "TTL expired", which clients show as a time-out. */
const SOCKS5_CODES: Readonly<Record<Denial, number>> = {
  prohibited: 2,
  unreachable: 4,
  refused: 5,
  late: 6,
  unavailable: 1,
};

const HTTP_LINES: Readonly<Record<Denial, string>> = {
  prohibited: '403 Forbidden',
  unreachable: '502 Bad Gateway',
  refused: '502 Bad Gateway',
  late: '504 Gateway Timeout',
  unavailable: '503 Service Unavailable',
};

/** The channel is open: what the client waits for before it speaks to its target. */
export function grantedReply(protocol: Protocol): Buffer {
  if (protocol === 'http') return Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n');
  return protocol === 'socks5' ? socks5Reply(0) : socks4Reply(true);
}

/** It could not be opened, in the client's own protocol; the text of HTTP says it in words. */
export function deniedReply(protocol: Protocol, code: FailureCode, message: string): Buffer {
  const denial = DENIALS[code];
  if (protocol === 'socks5') return socks5Reply(denial === undefined ? 1 : SOCKS5_CODES[denial]);
  if (protocol === 'socks4') return socks4Reply(false);
  return httpReply(denial === undefined ? '503 Service Unavailable' : HTTP_LINES[denial], message);
}

/** As OpenSSH: the bound address is nobody's business, and zero says so. */
export function socks5Reply(code: number): Buffer {
  return Buffer.from([5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
}

/** 90 grants, 91 is "rejected or failed": the protocol has no finer words. */
export function socks4Reply(granted: boolean): Buffer {
  return Buffer.from([0, granted ? 90 : 91, 0, 0, 0, 0, 0, 0]);
}

/** A refusal that ends the connection. @param message one line, clean @param headers lines without their ends */
export function httpReply(status: string, message: string, headers: readonly string[] = []): Buffer {
  const body = Buffer.from(`${message}\n`);
  const lines = [
    `HTTP/1.1 ${status}`,
    ...headers,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]);
}

/** The step that ends a conversation. @param why completes "Closed a connection from …: " */
export function refusal(reply: Buffer, why: string): Step {
  return { name: 'refuse', reply, why };
}
