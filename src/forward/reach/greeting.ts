import type { Expectation } from '../../model/plan.ts';

/** How to recognise a service by its first bytes, as a dialogue of one line each. */
export interface Greeting {
  /** Sent at once; empty where the service speaks first. */
  readonly opening: Buffer;
  /** Seen anywhere in what came so far, it is the service. */
  readonly expected: RegExp;
  /** Whether a first line without it settles that it is not; otherwise later lines may still bring it. */
  readonly firstLine: boolean;
  /** It comes whole, as a datagram does: nothing later could still bring it. */
  readonly whole?: true;
  /** Sent when it was recognised, so that the service's log shows a client that left and not one that broke off. */
  readonly farewell: string;
}

/** More than any greeting has; what a service says beyond is not looked at. */
export const GREETING_BYTES = 4096;
const NOTHING = Buffer.alloc(0);
/** A pattern is the person's own and may be as slow as they like; only its length is judged. */
const PATTERN_LENGTH = 1000;

/**
 * What to say and what to look for. @param host for the Host header of an HTTP request
 * @returns undefined for `tcp` (an open channel is all) and `tls` (a handshake)
 * @throws RangeError for a pattern that is too long or none
 */
export function greetingOf(expectation: Expectation, host: string): Greeting | undefined {
  switch (expectation.kind) {
    case 'tcp':
    case 'tls':
      return undefined;
    case 'pop3': // RFC 1939 section 4
      return { opening: NOTHING, expected: /^\+OK/, firstLine: true, farewell: 'QUIT\r\n' };
    case 'imap': // RFC 9051 section 7.1: BYE in the greeting is a refusal
      return { opening: NOTHING, expected: /^\* (?:OK|PREAUTH)\b/i, firstLine: true, farewell: 'a LOGOUT\r\n' };
    case 'smtp': // RFC 5321 section 4.2: 554 is a refusal
      return { opening: NOTHING, expected: /^220[ -]/, firstLine: true, farewell: 'QUIT\r\n' };
    case 'http': // any answer of the service itself; 500, 502, 503 and 504 say that it does not work
      return {
        opening: Buffer.from(`HEAD / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nUser-Agent: tunnel\r\n\r\n`),
        expected: /^HTTP\/\d(?:\.\d)? (?!50[0234])\d{3}/,
        firstLine: true,
        farewell: '',
      };
    case 'ssh': // RFC 4253 section 4.2: other lines may come before it
      return { opening: NOTHING, expected: /^SSH-(?:2\.0|1\.99)-/m, firstLine: false, farewell: '' };
    case 'banner':
      return { opening: NOTHING, expected: bannerPattern(expectation.pattern), firstLine: false, farewell: '' };
    case 'datagram':
      return { ...question(expectation), firstLine: false, whole: true, farewell: '' };
  }
}

/** The characters of the question are bytes, so that YAML's \xNN writes any of them. */
function question({ send, match }: Extract<Expectation, { kind: 'datagram' }>) {
  return { opening: Buffer.from(send, 'latin1'), expected: match === null ? ANYTHING : bannerPattern(match) };
}

const ANYTHING = /^/;

function bannerPattern(pattern: string): RegExp {
  if (pattern.length > PATTERN_LENGTH) throw new RangeError(`The pattern is longer than ${PATTERN_LENGTH} characters`);
  try {
    return new RegExp(pattern, 'm');
  } catch (error) {
    throw new RangeError(`Not a regular expression: ${pattern}`, { cause: error });
  }
}

/** @returns `ok`, `wrong`, or `more` when the next bytes may still decide. `atEnd`: there are none. */
export function judge({ expected, firstLine, whole }: Greeting, said: string, atEnd: boolean): 'ok' | 'wrong' | 'more' {
  if (expected.test(said)) return 'ok';
  if (atEnd || whole === true || said.length >= GREETING_BYTES || (firstLine && said.includes('\n'))) return 'wrong';
  return 'more';
}
