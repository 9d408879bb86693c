const [major = 0, minor = 0] = process.versions.openssl.split('.').map(Number);

/** The cipher where ssh2's addon can do it, as a list of one or none: with OpenSSL 3.5, as in Node 24, it cannot. */
export const CHACHA20: readonly string[] = major > 3 || minor >= 5 ? [] : ['chacha20-poly1305@openssh.com'];
