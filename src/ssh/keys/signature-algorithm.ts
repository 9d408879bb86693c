const RSA_CERTIFICATE = 'ssh-rsa-cert-v01@openssh.com';
const SHA2 = ['rsa-sha2-512', 'rsa-sha2-256'];

/** OpenSSH before 7.8 knows no name for an RSA certificate's SHA-2 signature (SSH_BUG_SIGTYPE in its compat.c). */
const NO_SHA2_CERTIFICATES = /^OpenSSH_(?:[2-6]|7\.[0-7](?!\d))/;
/** OpenSSH 7.4 takes SHA-2 signatures and fails to name them (SSH_BUG_SIGTYPE74). */
const SILENT_ABOUT_SHA2 = /^OpenSSH_7\.4(?!\d)/;

/** What is known of the server that a signature is for. */
export interface SignatureFacts {
  /** `server-sig-algs`; undefined where the server sent none. */
  readonly names: readonly string[] | undefined;
  /** As it calls itself: some versions do not say what they take. */
  readonly version: string;
}

/**
 * The signature algorithm to log in with for a key of this type (RFC 8332 section 3.3).
 * @param legacy whether a SHA-1 signature may be given
 * @returns undefined where the server takes no signature that we would make
 */
export function signatureAlgorithm(
  keyType: string,
  { names, version }: SignatureFacts,
  legacy: boolean,
): string | undefined {
  if (keyType !== 'ssh-rsa' && keyType !== RSA_CERTIFICATE) return keyType;
  const certificate = keyType === RSA_CERTIFICATE;
  const suffix = certificate ? '-cert-v01@openssh.com' : '';
  if (certificate && NO_SHA2_CERTIFICATES.test(version)) return legacy ? RSA_CERTIFICATE : undefined;
  const serverNames = SILENT_ABOUT_SHA2.test(version) ? SHA2 : names;
  // Servers that name nothing may still take SHA-2; only the very old ones need SHA-1, and those need `legacy` anyway.
  if (serverNames === undefined) return legacy ? `ssh-rsa${suffix}` : `rsa-sha2-256${suffix}`;
  const hash = SHA2.find((name) => serverNames.includes(name));
  if (hash !== undefined) return `${hash}${suffix}`;
  return legacy ? `ssh-rsa${suffix}` : undefined;
}

/** What the signature itself is called: a certificate's key signs as the plain key does. */
export function plainAlgorithm(algorithm: string): string {
  return algorithm.replace(/-cert-v01@openssh\.com$/, '');
}
