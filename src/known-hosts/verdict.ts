import { createHash } from 'node:crypto';
import { matchesHost } from './match.ts';
import { keyTypeOf, type KnownHost } from './parse.ts';

/** What known_hosts says about the key that a host showed. Only `match` is a yes. */
export type Verdict =
  | { readonly kind: 'match'; readonly entry: KnownHost }
  /** Nothing is known of this type. `others`: keys of other types that are; `certAuthority`: a CA line speaks of the host. */
  | { readonly kind: 'new'; readonly others: readonly KnownHost[]; readonly certAuthority: boolean }
  | { readonly kind: 'changed'; readonly entry: KnownHost; readonly storedFingerprint: string }
  | { readonly kind: 'revoked'; readonly entry: KnownHost };

/**
 * Judges a host's key. Revocation counts before everything, a match in any file before a mismatch in another, as in
 * OpenSSH's check_host_key.
 * @param name as `knownHostName` makes it
 * @param fallbackName the bare host of a host off port 22: a match there is taken, a mismatch there means nothing
 */
export function judgeHostKey(
  entries: readonly KnownHost[],
  name: string,
  key: Buffer,
  fallbackName: string = name,
): Verdict {
  const own = entries.filter((entry) => matchesHost(entry.hosts, name));
  const fallback = name === fallbackName ? [] : entries.filter((entry) => matchesHost(entry.hosts, fallbackName));
  const revoked = [...own, ...fallback].find((entry) => entry.marker === 'revoked' && entry.key.equals(key));
  if (revoked !== undefined) return { kind: 'revoked', entry: revoked };

  const match = [...own, ...fallback].find((entry) => entry.marker === 'none' && entry.key.equals(key));
  if (match !== undefined) return { kind: 'match', entry: match };

  const plain = own.filter((entry) => entry.marker === 'none');
  const sameType = plain.find((entry) => entry.keyType === keyTypeOf(key));
  if (sameType !== undefined) {
    return { kind: 'changed', entry: sameType, storedFingerprint: fingerprint(sameType.key) };
  }
  return { kind: 'new', others: plain, certAuthority: own.some((entry) => entry.marker === 'cert-authority') };
}

/** Types of the plain keys known for the host: what to ask the server for first, or a known host looks changed. */
export function knownKeyTypes(entries: readonly KnownHost[], name: string, fallbackName: string = name): string[] {
  const known = entries.filter(
    (entry) => entry.marker === 'none' && (matchesHost(entry.hosts, name) || matchesHost(entry.hosts, fallbackName)),
  );
  return [...new Set(known.map((entry) => entry.keyType))];
}

/** `SHA256:…` without padding, as `ssh-keygen -l` prints it. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** `ED25519`, `RSA`, `ECDSA`: how OpenSSH's messages name a key type. */
export function keyTypeTitle(keyType: string): string {
  if (keyType === 'ssh-ed25519') return 'ED25519';
  if (keyType === 'ssh-rsa') return 'RSA';
  if (keyType === 'ssh-dss') return 'DSA';
  return keyType.startsWith('ecdsa-') ? 'ECDSA' : keyType;
}
