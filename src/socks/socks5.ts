import type { TcpEndpoint } from '../model/endpoint.ts';
import type { Stage, Step } from './step.ts';
import { refusal, socks5Reply } from './replies.ts';
import { ipv4Text, ipv6Text, targetOf } from './target.ts';

const NO_LOGIN = 0x00;
const BY_PASSWORD = 0x02;
/** RFC 1928 section 4. */
const CONNECT = 1;
const BIND = 2;
const UDP_ASSOCIATE = 3;

const GENERAL_FAILURE = 1;
const COMMAND_NOT_SUPPORTED = 7;
const ADDRESS_NOT_SUPPORTED = 8;

/** Reads one message of SOCKS5: the methods, the login (RFC 1929), the request. Each has a length of its own: 513 bytes at most. */
export function readSocks5(stage: Stage, bytes: Buffer, loginRequired: boolean): Step {
  if (stage === 'socks5-login') return readLogin(bytes);
  return stage === 'socks5-request' ? readRequest(bytes) : readMethods(bytes, loginRequired);
}

function readMethods(bytes: Buffer, loginRequired: boolean): Step {
  const count = bytes[1];
  if (count === undefined || bytes.length < 2 + count) return { name: 'more' };
  const wanted = loginRequired ? BY_PASSWORD : NO_LOGIN;
  if (!bytes.subarray(2, 2 + count).includes(wanted)) {
    const why = loginRequired ? 'it does not log in with a password' : 'it insists on a login';
    return refusal(Buffer.from([5, 0xff]), why);
  }
  const next = loginRequired ? 'socks5-login' : 'socks5-request';
  return { name: 'answer', taken: 2 + count, reply: Buffer.from([5, wanted]), next };
}

function readLogin(bytes: Buffer): Step {
  if (bytes[0] !== 1) return refusal(Buffer.from([1, 1]), 'its SOCKS5 login is malformed');
  const userLength = bytes[1];
  const passwordAt = 2 + (userLength ?? 0);
  const passwordLength = bytes[passwordAt];
  if (userLength === undefined || passwordLength === undefined) return { name: 'more' };
  const taken = passwordAt + 1 + passwordLength;
  if (bytes.length < taken) return { name: 'more' };
  const user = bytes.toString('utf8', 2, passwordAt);
  const password = bytes.toString('utf8', passwordAt + 1, taken);
  return {
    name: 'login',
    taken,
    credentials: { user, password },
    accepted: Buffer.from([1, 0]),
    refused: Buffer.from([1, 1]),
    next: 'socks5-request',
  };
}

function readRequest(bytes: Buffer): Step {
  const [version, command] = bytes;
  if (version !== 5) return refusal(socks5Reply(GENERAL_FAILURE), 'its SOCKS5 request is malformed');
  if (command === undefined) return { name: 'more' };
  if (command !== CONNECT) return refusal(socks5Reply(COMMAND_NOT_SUPPORTED), `${commandName(command)} is not offered`);
  const address = readAddress(bytes);
  if (address === 'more') return { name: 'more' };
  if (address === 'unknown') return refusal(socks5Reply(ADDRESS_NOT_SUPPORTED), 'its address type is unknown');
  if (address.target === undefined) return refusal(socks5Reply(GENERAL_FAILURE), 'it asks for no address');
  return { name: 'connect', taken: address.taken, protocol: 'socks5', target: address.target };
}

function commandName(command: number): string {
  if (command === BIND) return 'SOCKS5 BIND';
  return command === UDP_ASSOCIATE ? 'SOCKS5 UDP ASSOCIATE' : `SOCKS5 command ${command}`;
}

/** Type, address and port, from the fourth byte on. */
function readAddress(bytes: Buffer): 'more' | 'unknown' | { taken: number; target: TcpEndpoint | undefined } {
  const type = bytes[3];
  if (type === undefined) return 'more';
  const length = type === 1 ? 4 : type === 4 ? 16 : type === 3 ? bytes[4] : null;
  if (length === null) return 'unknown';
  const at = type === 3 ? 5 : 4;
  const taken = at + (length ?? 0) + 2;
  if (length === undefined || bytes.length < taken) return 'more';
  const address = bytes.subarray(at, at + length);
  const host = type === 1 ? ipv4Text(address) : type === 4 ? ipv6Text(address) : address.toString('utf8');
  return { taken, target: targetOf(host, bytes.readUInt16BE(at + length)) };
}
