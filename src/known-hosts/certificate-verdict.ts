import { parseCertificate, signatureName, signedByItsAuthority, type Certificate } from './certificate.ts';
import { matchesHost, matchesPattern } from './match.ts';
import type { KnownHost } from './parse.ts';

/** What a host's certificate is worth. Only `vouched` is a yes; after `useless` the plain key is judged by itself. */
export type CertificateVerdict =
  | { readonly kind: 'vouched'; readonly entry: KnownHost; readonly certificate: Certificate }
  /** `why` is for a person: the middle of "the certificate ... is not used, since WHY". */
  | { readonly kind: 'useless'; readonly why: string }
  /** The authority is marked as revoked: nothing of this host may be accepted. */
  | { readonly kind: 'revoked'; readonly entry: KnownHost };

/** Whether a @cert-authority line speaks of the host: then certificates are asked for first, as ssh does. */
export function namesAuthority(entries: readonly KnownHost[], name: string, fallbackName: string = name): boolean {
  return authorities(entries, name, fallbackName).length > 0;
}

/**
 * Judges a certificate as OpenSSH's check_host_key does: authority revoked, authority known for this host, then the
 * certificate itself (sshkey_cert_check_host).
 * @param names `name` and `fallbackName` as `judgeHostKey` takes them; `principal` is the bare host or its alias, by
 * which certificates name hosts
 * @param nowMs wall clock
 * @param signatures the only algorithms by which an authority may sign; null is all that are safe
 */
export function judgeCertificate(
  entries: readonly KnownHost[],
  blob: Buffer,
  names: { readonly name: string; readonly fallbackName: string; readonly principal: string },
  nowMs: number,
  signatures: readonly string[] | null = null,
): CertificateVerdict {
  const certificate = read(blob);
  if (certificate === undefined) return { kind: 'useless', why: 'it is damaged' };
  const about = entries.filter(({ hosts }) => matchesHost(hosts, names.name) || matchesHost(hosts, names.fallbackName));
  const revoked = about.find(({ marker, key }) => marker === 'revoked' && key.equals(certificate.authority));
  if (revoked !== undefined) return { kind: 'revoked', entry: revoked };
  const entry = authorities(entries, names.name, names.fallbackName).find(({ key }) =>
    key.equals(certificate.authority),
  );
  if (entry === undefined) return { kind: 'useless', why: 'no @cert-authority line knows its authority for this host' };
  const why = unwanted(certificate, signatures) ?? flaw(certificate, names.principal, nowMs);
  return why === undefined ? { kind: 'vouched', entry, certificate } : { kind: 'useless', why };
}

function authorities(entries: readonly KnownHost[], name: string, fallbackName: string): KnownHost[] {
  return entries.filter(
    ({ marker, hosts }) =>
      marker === 'cert-authority' && (matchesHost(hosts, name) || matchesHost(hosts, fallbackName)),
  );
}

function read(blob: Buffer): Certificate | undefined {
  try {
    return parseCertificate(blob);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function unwanted(certificate: Certificate, signatures: readonly string[] | null): string | undefined {
  const name = signatureName(certificate);
  return signatures === null || signatures.includes(name)
    ? undefined
    : `CASignatureAlgorithms does not allow its signature, ${name}`;
}

function flaw(certificate: Certificate, principal: string, nowMs: number): string | undefined {
  const now = BigInt(Math.floor(nowMs / 1000));
  if (!signedByItsAuthority(certificate)) return 'its signature is wrong';
  if (certificate.kind !== 'host') return 'it is not for a host';
  if (now < certificate.validAfter) return `it is not valid before ${day(certificate.validAfter)}`;
  if (now >= certificate.validBefore) return `it has expired on ${day(certificate.validBefore)}`;
  // ssh-keygen makes no host certificate without a name by accident: none means all, as in OpenSSH.
  const named =
    certificate.principals.length === 0 || certificate.principals.some((one) => matchesPattern(one, principal));
  if (!named) return `it is for other names than ${principal}`;
  if (certificate.criticalOptions.length > 0) return 'it has critical options, of which none is known for hosts';
  return undefined;
}

function day(seconds: bigint): string {
  const ms = Number(seconds) * 1000;
  return ms > 8.64e15 ? 'a day beyond the calendar' : new Date(ms).toISOString();
}
