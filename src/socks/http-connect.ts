import { parseEndpoint } from '../model/endpoint.ts';
import type { Credentials, Step } from './step.ts';
import { httpReply, refusal } from './replies.ts';
import { targetOf } from './target.ts';

/** Request line and headers together, as common servers cap them. */
const HEAD_BYTES = 8 * 1024;

/** Reads the head of an HTTP request: CONNECT alone is offered. The login is judged before the target is looked at. */
export function readHttp(bytes: Buffer, loginRequired: boolean): Step {
  const head = headOf(bytes);
  if (head === 'more') return { name: 'more' };
  if (head === 'long') return refused('431 Request Header Fields Too Large', 'its HTTP request is too long');
  const [requestLine = '', ...headers] = head.text.split(/\r?\n/);
  const match = /^([!#$%&'*+.^_`|~\w-]+) (\S+) HTTP\/1\.[01]$/.exec(requestLine);
  if (match === null) return refused('400 Bad Request', 'its HTTP request is malformed');
  const [, method = '', authority = ''] = match;
  if (loginRequired) return login(headers, bytes);
  if (method !== 'CONNECT')
    return refused('405 Method Not Allowed', `HTTP ${method} is not offered`, ['Allow: CONNECT']);
  const endpoint = authority.includes(':') ? parseEndpoint(authority) : undefined;
  const target = endpoint?.kind === 'tcp' ? targetOf(endpoint.host, endpoint.port) : undefined;
  if (target === undefined) return refused('400 Bad Request', 'it asks for no address');
  return { name: 'connect', taken: head.end, protocol: 'http', target };
}

/** Nothing is taken: accepted, the same head is read again as a request. */
function login(headers: readonly string[], bytes: Buffer): Step {
  const refusedReply = loginWanted();
  const credentials = credentialsOf(headers);
  if (credentials === undefined) return refusal(refusedReply, 'it does not log in with a password');
  const accepted = bytes.subarray(0, 0);
  return { name: 'login', taken: 0, credentials, accepted, refused: refusedReply, next: 'http-request' };
}

function headOf(bytes: Buffer): 'more' | 'long' | { readonly text: string; readonly end: number } {
  const window = bytes.subarray(0, HEAD_BYTES);
  const ends = [window.indexOf('\r\n\r\n') + 4, window.indexOf('\n\n') + 2].filter(
    (end, at) => end > (at === 0 ? 3 : 1),
  );
  const end = ends.length === 0 ? undefined : Math.min(...ends);
  if (end === undefined) return bytes.length >= HEAD_BYTES ? 'long' : 'more';
  return { text: window.toString('latin1', 0, end).trimEnd(), end };
}

/** RFC 7617: Basic, with the user's name up to the first colon. */
function credentialsOf(headers: readonly string[]): Credentials | undefined {
  const value = headers.map((line) => /^proxy-authorization:\s*basic\s+(\S+)\s*$/i.exec(line)?.[1]).find(Boolean);
  if (value === undefined) return undefined;
  const text = Buffer.from(value, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function loginWanted(): Buffer {
  const header = 'Proxy-Authenticate: Basic realm="tunnel", charset="UTF-8"';
  return httpReply('407 Proxy Authentication Required', 'This proxy wants a user name and a password', [header]);
}

function refused(status: string, why: string, headers: readonly string[] = []): Step {
  return refusal(httpReply(status, `Refused: ${why}`, headers), why);
}
