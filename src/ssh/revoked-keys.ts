import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseCertificate } from '../known-hosts/certificate.ts';
import { keyTypeOf } from '../known-hosts/parse.ts';

/** How a key revocation list begins (PROTOCOL.krl). */
const KRL_MAGIC = Buffer.from('SSHKRL\n\0', 'latin1');
const DEADLINE_MS = 5_000;
/** `ssh-keygen -Q` ends so where a key is in the list (do_check_krl in ssh-keygen.c); with 255 where it cannot tell. */
const IN_THE_LIST = 1;

/**
 * Whether a file that RevokedHostKeys names forbids what a host shows: public keys, one a line, or a key revocation list,
 * which `ssh-keygen -Q` is asked about. Rejects where it cannot be told, which must never pass for "not revoked".
 * @param certificate the one that came with the key: it may be revoked itself, or its authority
 */
export async function isRevokedBy(file: string, key: Buffer, certificate: Buffer | undefined): Promise<boolean> {
  const bytes = await readFile(file);
  if (bytes.subarray(0, KRL_MAGIC.length).equals(KRL_MAGIC)) return isInList(file, certificate ?? key);
  const listed = keysIn(bytes.toString('latin1'));
  const shown = certificate === undefined ? [key] : [key, parseCertificate(certificate).authority];
  return shown.some((one) => listed.some((other) => other.equals(one)));
}

function keysIn(text: string): Buffer[] {
  return text.split('\n').flatMap((line) => {
    const [type = '', encoded = ''] = line.trim().split(/\s+/);
    const key = Buffer.from(encoded, 'base64');
    return type !== '' && keyTypeOf(key) === type ? [key] : [];
  });
}

/** ssh-keygen reads keys from files only. */
async function isInList(file: string, shown: Buffer): Promise<boolean> {
  const dir = await mkdtemp(join(tmpdir(), 'tunnel-key-'));
  try {
    const path = join(dir, 'key.pub');
    await writeFile(path, `${keyTypeOf(shown) ?? ''} ${shown.toString('base64')}\n`, { mode: 0o600 });
    return await new Promise((resolve, reject) => {
      execFile('ssh-keygen', ['-Q', '-f', file, path], { timeout: DEADLINE_MS }, (error) => {
        if (error === null) resolve(false);
        else if (error.code === IN_THE_LIST) resolve(true);
        else reject(error.code === 'ENOENT' ? new Error('it is a revocation list, and there is no ssh-keygen') : error);
      });
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
