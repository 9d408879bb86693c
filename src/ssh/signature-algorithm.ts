const RSA_CERTIFICATE = 'ssh-rsa-cert-v01@openssh.com';
const SHA2 = ['rsa-sha2-512', 'rsa-sha2-256'];

/**
 * The signature algorithm to log in with for a key of this type (RFC 8332 section 3.3).
 * @param serverNames `server-sig-algs`; undefined where the server sent none
 * @param legacy whether a SHA-1 signature may be given
 * @returns undefined where the server takes no signature that we would make
 */
export function signatureAlgorithm(
  keyType: string,
  serverNames: readonly string[] | undefined,
  legacy: boolean,
): string | undefined {
  if (keyType !== 'ssh-rsa' && keyType !== RSA_CERTIFICATE) return keyType;
  const suffix = keyType === RSA_CERTIFICATE ? '-cert-v01@openssh.com' : '';
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
