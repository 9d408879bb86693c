import type { Step } from './step.ts';
import { refusal, socks4Reply } from './replies.ts';
import { ipv4Text, targetOf } from './target.ts';

/** More than any user id or name of the protocol has, each with its NUL: OpenSSH takes as much. */
const TEXT_BYTES = 256;

/** Reads a SOCKS4 request, and SOCKS4a, whose address 0.0.0.x says that a name follows. It knows no password. */
export function readSocks4(bytes: Buffer, loginRequired: boolean): Step {
  const command = bytes[1];
  if (command === undefined) return { name: 'more' };
  if (loginRequired) return refused('SOCKS4 has no login with a password');
  if (command !== 1)
    return refused(command === 2 ? 'SOCKS4 BIND is not offered' : `SOCKS4 command ${command} is unknown`);
  if (bytes.length < 8) return { name: 'more' };
  const address = bytes.subarray(4, 8);
  const user = textAt(bytes, 8);
  if (typeof user === 'string') return textStep(user);
  const named = address[0] === 0 && address[1] === 0 && address[2] === 0 && address[3] !== 0;
  const name = named ? textAt(bytes, user.end) : undefined;
  if (typeof name === 'string') return textStep(name);
  const target = targetOf(name?.text ?? ipv4Text(address), bytes.readUInt16BE(2));
  if (target === undefined) return refused('it asks for no address');
  return { name: 'connect', taken: name?.end ?? user.end, protocol: 'socks4', target };
}

/** A text that ends with NUL. */
function textAt(bytes: Buffer, at: number): 'more' | 'long' | { readonly text: string; readonly end: number } {
  const nul = bytes.indexOf(0, at);
  if (nul < 0) return bytes.length - at >= TEXT_BYTES ? 'long' : 'more';
  return nul - at >= TEXT_BYTES ? 'long' : { text: bytes.toString('utf8', at, nul), end: nul + 1 };
}

function textStep(text: 'more' | 'long'): Step {
  return text === 'more' ? { name: 'more' } : refused('its SOCKS4 request is too long');
}

function refused(why: string): Step {
  return refusal(socks4Reply(false), why);
}
