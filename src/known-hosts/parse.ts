import { cleanLine } from '../model/clean.ts';
import type { Problem } from '../model/failure.ts';
import { hashHost } from './match.ts';

/** One line of a known_hosts file that holds a key. */
export interface KnownHost {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** `cert-authority` vouches for certificates, `revoked` must never be accepted; `none` is a plain host key. */
  readonly marker: 'none' | 'cert-authority' | 'revoked';
  /** The host field as written: patterns, or one hashed name. */
  readonly hosts: string;
  readonly keyType: string;
  /** The public key as it goes over the wire (RFC 4253 section 6.6). */
  readonly key: Buffer;
  readonly comment: string;
}

export interface KnownHosts {
  readonly entries: readonly KnownHost[];
  /** Lines that are no key of a host: skipped, as OpenSSH skips them. */
  readonly problems: readonly Problem[];
}

export const NO_KNOWN_HOSTS: KnownHosts = { entries: [], problems: [] };

/** Reads one known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). CRLF and blank lines are fine. */
export function parseKnownHosts(text: string, file: string): KnownHosts {
  const entries: KnownHost[] = [];
  const problems: Problem[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const content = raw.trim();
    if (content === '' || content.startsWith('#')) continue;
    const line = index + 1;
    const read = parseLine(content);
    if (typeof read === 'string') problems.push({ file, line, column: 1, message: read });
    else entries.push({ file, line, ...read });
  }
  return { entries, problems };
}

/** Several files as one, the first one's lines first. */
export function joinKnownHosts(files: readonly KnownHosts[]): KnownHosts {
  return { entries: files.flatMap((one) => one.entries), problems: files.flatMap((one) => one.problems) };
}

/**
 * The line that records a key, without its line end.
 * @param salt 20 random bytes hide the name; undefined writes it plainly
 */
export function formatKnownHost(name: string, key: Buffer, salt?: Buffer): string {
  const hosts = salt === undefined ? name : hashHost(name, salt);
  return `${hosts} ${keyTypeOf(key) ?? 'unknown'} ${key.toString('base64')}`;
}

/** The algorithm name at the head of a public key; undefined where the bytes are no key. */
export function keyTypeOf(key: Buffer): string | undefined {
  if (key.length < 4) return undefined;
  const end = 4 + key.readUInt32BE(0);
  if (end > key.length || end === 4) return undefined;
  const name = key.toString('latin1', 4, end);
  return /^[!-~]+$/.test(name) ? name : undefined;
}

type Fields = Omit<KnownHost, 'file' | 'line'>;

function parseLine(content: string): Fields | string {
  const words = content.split(/[ \t]+/);
  const marker = content.startsWith('@') ? markerOf(words.shift() ?? '') : 'none';
  if (marker === undefined) return `unknown marker ${cleanLine(content.split(/\s/, 1)[0] ?? '', 40)}`;
  const [hosts, keyType, encoded, ...rest] = words;
  if (hosts === undefined || keyType === undefined) return 'no key on the line';
  if (/^\d+$/.test(keyType)) return 'a key of SSH protocol 1, which nothing uses any more';
  if (encoded === undefined) return 'no key on the line';
  const key = Buffer.from(encoded, 'base64');
  // Node decodes what it can and drops the rest; a key that does not come out whole is none.
  if (key.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '')) return 'the key is not base64';
  if (keyTypeOf(key) !== keyType) return `the key is not of the type ${cleanLine(keyType, 60)} that the line names`;
  return { marker, hosts, keyType, key, comment: rest.join(' ') };
}

function markerOf(word: string): 'cert-authority' | 'revoked' | undefined {
  if (word === '@cert-authority') return 'cert-authority';
  return word === '@revoked' ? 'revoked' : undefined;
}
