import { cleanLine } from '../model/clean.ts';
import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import { TunnelError } from '../model/failure.ts';

/** Where a connection was when it ended: the same words mean other things before and after the key exchange. */
export interface EndFacts {
  /** The hop with its address. */
  readonly name: string;
  readonly phase: 'banner' | 'key exchange' | 'login' | 'up';
  /** What the other side sent before its identification, or instead of it. */
  readonly preamble: string;
}

const PENALTY_HINT =
  'The server may refuse this address for some minutes after failed logins (PerSourcePenalties), or have too many logins under way (MaxStartups).';

/** Why a connection ended, in our terms. @param error what ssh2 or the socket reported; undefined for a bare close */
export function connectionFailure(error: unknown, facts: EndFacts): TunnelError {
  const level = property(error, 'level');
  const message = error instanceof Error ? error.message : '';
  if (facts.phase === 'banner') return beforeBanner(error, facts);
  if (/no matching|No matching/.test(message)) return noCommonAlgorithm(error, message, facts);
  if (typeof property(error, 'code') === 'number') return saidGoodbye(error, message, facts); // SSH_MSG_DISCONNECT
  const why =
    level === 'client-socket' ? socketWords(error) : error instanceof Error ? protocolWords(message) : undefined;
  if (facts.phase === 'up')
    return ended('CONNECTION_LOST', `Connection to ${facts.name} lost`, why ?? 'closed by the server', error);
  if (facts.phase === 'login') {
    return ended(
      'CONNECTION_LOST',
      `Cannot log in to ${facts.name}`,
      why ?? 'the server closed the connection',
      error,
      PENALTY_HINT,
    );
  }
  return ended(
    'HANDSHAKE_FAILED',
    `Cannot connect to ${facts.name}`,
    why ?? 'the server closed the connection during the key exchange',
    error,
  );
}

/** Why the server opened no channel to a target (RFC 4254 section 5.1), with the words that ssh prints. */
export function openFailure(target: Endpoint, name: string, error: unknown): TunnelError {
  const object = `Cannot reach ${formatEndpoint(target)} from ${name}`;
  const said = cleanLine(
    (error instanceof Error ? error.message : '').replace('(SSH) Channel open failure: ', ''),
    200,
  );
  switch (property(error, 'reason')) {
    case 1:
      return new TunnelError('TARGET_PROHIBITED', `${object}: administratively prohibited: ${said || 'open failed'}`, {
        cause: error,
      });
    case 2:
      return new TunnelError('TARGET_REFUSED', `${object}: connect failed: ${said || 'open failed'}`, { cause: error });
    case 3:
      return new TunnelError('TARGET_PROHIBITED', `${object}: unknown channel type: ${said || 'open failed'}`, {
        cause: error,
        hint: 'The server does not know this kind of forwarding.',
      });
    case 4:
      return new TunnelError('TARGET_REFUSED', `${object}: resource shortage: ${said || 'open failed'}`, {
        cause: error,
        hint: 'The server cannot open more connections now.',
      });
    default:
      return new TunnelError('TARGET_REFUSED', `${object}: ${said || 'open failed'}`, { cause: error });
  }
}

/** A jump host that does not reach the next hop: a failure of the dial, which time may heal. */
export function jumpFailure(error: TunnelError, name: string, through: string): TunnelError {
  if (error.code === 'TARGET_REFUSED' || error.code === 'TARGET_PROHIBITED') {
    const prohibited = error.code === 'TARGET_PROHIBITED';
    const why = error.message.slice(error.message.indexOf(': ') + 2);
    return new TunnelError(
      prohibited ? 'UNREACHABLE' : 'CONNECT_REFUSED',
      `Cannot connect to ${name} through ${through}: ${why}`,
      {
        cause: error,
        ...(prohibited ? { hint: `${through} forbids it (AllowTcpForwarding, PermitOpen).` } : {}),
      },
    );
  }
  return error;
}

/** What an abort means: the signal's own reason, which callers make a TunnelError. */
export function abortFailure(signal: AbortSignal): TunnelError {
  const reason: unknown = signal.reason;
  return reason instanceof TunnelError
    ? reason
    : new TunnelError('STOPPED', 'Stopped before it was done', { cause: reason });
}

function beforeBanner(error: unknown, { name, preamble }: EndFacts): TunnelError {
  const object = `Cannot connect to ${name}`;
  if (/MaxStartups|Not allowed at this time/i.test(preamble)) {
    return ended('HANDSHAKE_FAILED', object, `the server says ${cleanLine(preamble, 100)}`, error, PENALTY_HINT);
  }
  if (preamble.startsWith('SSH-1.') && !preamble.startsWith('SSH-1.99')) {
    return ended(
      'NOT_SSH',
      object,
      'the server speaks only SSH protocol 1',
      error,
      'Nothing safe can be done with it.',
    );
  }
  if (preamble !== '')
    return ended('NOT_SSH', object, `no SSH server answers there, but: ${cleanLine(preamble, 100)}`, error);
  if (property(error, 'level') === 'client-socket')
    return ended('CONNECTION_LOST', object, socketWords(error), error, PENALTY_HINT);
  return ended('HANDSHAKE_FAILED', object, 'the server closed the connection without a word', error, PENALTY_HINT);
}

function noCommonAlgorithm(error: unknown, message: string, { name }: EndFacts): TunnelError {
  const kind = /key exchange/.test(message)
    ? 'key exchange'
    : /host key/i.test(message)
      ? 'host key'
      : /cipher/.test(message)
        ? 'cipher'
        : 'MAC or compression';
  return new TunnelError(
    'NO_COMMON_ALGORITHM',
    `Cannot connect to ${name}: there is no ${kind} algorithm that both sides take`,
    {
      cause: error,
    },
  );
}

/** SSH_MSG_DISCONNECT (RFC 4253 section 11.1): the text is the server's, the reason a number that few servers choose well. */
function saidGoodbye(error: unknown, message: string, { name, phase }: EndFacts): TunnelError {
  const words = cleanLine(message, 200);
  const said = words === '' ? 'the server ended the connection' : `the server says ${words}`;
  if (phase === 'up') return ended('CONNECTION_LOST', `Connection to ${name} lost`, said, error);
  if (phase === 'login') {
    const refused = /authentication|not allowed|denied|disabled|expired|locked/i.test(message);
    return refused
      ? ended('LOGIN_REFUSED', `Cannot log in to ${name}`, said, error)
      : ended('CONNECTION_LOST', `Cannot log in to ${name}`, said, error, PENALTY_HINT);
  }
  return ended('HANDSHAKE_FAILED', `Cannot connect to ${name}`, said, error);
}

function socketWords(error: unknown): string {
  const code = property(error, 'code');
  switch (code) {
    case 'ECONNRESET':
      return 'connection reset by the other side';
    case 'EPIPE':
      return 'the other side has closed it';
    case 'ETIMEDOUT':
      return 'the network gave no answer';
    case 'EHOSTUNREACH':
      return 'no route to the host';
    case 'ENETUNREACH':
    case 'ENETDOWN':
      return 'the network is unreachable';
    default:
      return typeof code === 'string' ? `the socket failed with ${cleanLine(code, 40)}` : 'the socket failed';
  }
}

/** ssh2's own complaints about what the other side sent: cleaned, since they may quote it. */
function protocolWords(message: string): string {
  if (/^Connection lost/.test(message)) return 'the server closed the connection';
  if (/signature verification/i.test(message)) return 'the server could not prove that it owns its host key';
  if (/Invalid MAC|auth(entication)? tag|decrypt/i.test(message)) return 'the data was damaged or forged on the way';
  if (/Bad packet length/i.test(message))
    return 'the server sent an oversized packet, such as a banner above 35,000 bytes';
  return `the SSH protocol was broken (${cleanLine(message, 120)})`;
}

function ended(
  code: 'CONNECTION_LOST' | 'HANDSHAKE_FAILED' | 'NOT_SSH' | 'LOGIN_REFUSED',
  object: string,
  why: string,
  cause: unknown,
  hint?: string,
): TunnelError {
  return new TunnelError(code, `${object}: ${why}`, { cause, ...(hint === undefined ? {} : { hint }) });
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (Reflect.get(value, name) as unknown) : undefined;
}
