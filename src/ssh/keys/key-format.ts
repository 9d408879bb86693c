import { WireReader } from '../../model/wire.ts';

/** What a file that should hold a private key turned out to be, without any passphrase. */
export type KeyFormat =
  /** `reader`: who can decode it, ssh2's parser or node:crypto. `blob`: the public half, where the file shows it. */
  | {
      readonly kind: 'private';
      readonly reader: 'ssh2' | 'crypto';
      readonly encrypted: boolean;
      readonly blob?: Buffer;
    }
  | { readonly kind: 'public'; readonly blob: Buffer }
  /** `why` and `remedy` complete "Key FILE cannot be used: …". */
  | { readonly kind: 'unusable'; readonly why: string; readonly remedy: string };

/** Tells the format of a key file. @param file its path, for the remedies only */
export function keyFormat(text: string, file: string): KeyFormat {
  const head = /-----BEGIN ([A-Z0-9 ]+)-----/.exec(text)?.[1];
  if (head === undefined) return putty(text, file) ?? publicLine(text) ?? NO_KEY;
  switch (head) {
    case 'OPENSSH PRIVATE KEY':
      return openSsh(text, file);
    case 'PRIVATE KEY':
      return { kind: 'private', reader: 'crypto', encrypted: false };
    case 'ENCRYPTED PRIVATE KEY':
      return { kind: 'private', reader: 'crypto', encrypted: true };
    case 'RSA PRIVATE KEY':
    case 'EC PRIVATE KEY':
      return { kind: 'private', reader: 'crypto', encrypted: /Proc-Type: *4,ENCRYPTED/.test(text) };
    case 'DSA PRIVATE KEY':
      return {
        kind: 'unusable',
        why: 'it is a DSA key, which SSH has given up',
        remedy: 'make one with `ssh-keygen -t ed25519`',
      };
    case 'SSH2 ENCRYPTED PRIVATE KEY':
      return {
        kind: 'unusable',
        why: 'it has the format of ssh.com',
        remedy: `convert it with \`ssh-keygen -i -f ${file}\``,
      };
    default:
      return NO_KEY;
  }
}

const NO_KEY: KeyFormat = {
  kind: 'unusable',
  why: 'it holds no private key',
  remedy: 'name the private key, not another file',
};

/** PROTOCOL.key of OpenSSH: the public half stands in clear before the encrypted part. */
function openSsh(text: string, file: string): KeyFormat {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END OPENSSH PRIVATE KEY-----/.exec(text)?.[1];
  const bytes = Buffer.from(body ?? '', 'base64');
  const magic = 'openssh-key-v1\0';
  if (bytes.toString('latin1', 0, magic.length) !== magic) return DAMAGED;
  try {
    const reader = new WireReader(bytes.subarray(magic.length));
    const cipher = reader.text();
    reader.string(); // name of the key derivation
    reader.string(); // its options
    if (reader.uint32() !== 1) return DAMAGED;
    const blob = Buffer.from(reader.string());
    if (cipher === 'chacha20-poly1305@openssh.com') {
      return {
        kind: 'unusable',
        why: 'it is encrypted with chacha20-poly1305, which only OpenSSH reads',
        remedy: `encrypt it anew with \`ssh-keygen -p -Z aes256-ctr -f ${file}\`, or load it into the agent`,
      };
    }
    const type = new WireReader(blob).text();
    if (type.startsWith('sk-')) {
      return {
        kind: 'unusable',
        why: 'it lives on a security key',
        remedy: `load it into the agent with \`ssh-add ${file}\``,
      };
    }
    return { kind: 'private', reader: 'ssh2', encrypted: cipher !== 'none', blob };
  } catch (error) {
    if (error instanceof RangeError) return DAMAGED;
    throw error;
  }
}

const DAMAGED: KeyFormat = { kind: 'unusable', why: 'it is damaged', remedy: 'restore it from a backup' };

/** ssh2 reads version 2 with RSA keys; PuTTY 0.75 and later write version 3. */
function putty(text: string, file: string): KeyFormat | undefined {
  const version = /^PuTTY-User-Key-File-(\d): *(\S+)/.exec(text);
  if (version === null) return undefined;
  const lines = /^Public-Lines: *\d+\r?\n([\s\S]*?)^Private-Lines:/m.exec(text)?.[1];
  if (version[1] === '2' && version[2] === 'ssh-rsa' && lines !== undefined) {
    const encrypted = !/^Encryption: *none/m.test(text);
    return { kind: 'private', reader: 'ssh2', encrypted, blob: Buffer.from(lines, 'base64') };
  }
  return {
    kind: 'unusable',
    why: 'it has the format of PuTTY',
    remedy: `convert it with \`puttygen ${file} -O private-openssh -o ${file}.openssh\``,
  };
}

function publicLine(text: string): KeyFormat | undefined {
  const blob = publicKeyLine(text);
  return blob === undefined ? undefined : { kind: 'public', blob };
}

/** The key of a `.pub` or `-cert.pub` line: `type base64 comment`. */
export function publicKeyLine(text: string): Buffer | undefined {
  const match = /^(\S+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:\s|$)/.exec(text.trimStart());
  if (match === null) return undefined;
  const [, type, encoded = ''] = match;
  const blob = Buffer.from(encoded, 'base64');
  try {
    return new WireReader(blob).text() === type ? blob : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
