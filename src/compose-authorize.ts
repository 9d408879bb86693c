// What `tunnel authorize` needs of the real parts. Loaded by it alone.
import { hostname } from 'node:os';
import { lineComment } from './authorize/authorized-line.ts';
import { writeKeyPair } from './files/key-files.ts';
import { fingerprint } from './known-hosts/verdict.ts';
import { TunnelError } from './model/failure.ts';
import { WireReader } from './model/wire.ts';
import { readKeyFile } from './ssh/keys/key-file.ts';
import { makeKeyPair } from './ssh/keys/key-pair.ts';

/** The public half of a key, and where its private half is. */
export interface KeyAtHand {
  readonly file: string;
  readonly type: string;
  /** In base64. */
  readonly blob: string;
  readonly fingerprint: string;
  /** A `.pub` file was named: the private half is in the agent. */
  readonly publicOnly: boolean;
}

/** What stands at the end of the line, so that the server's owner knows whose it is. */
export function commentFor(profile: string): string {
  return lineComment(profile, hostname());
}

/**
 * Makes an Ed25519 key without a passphrase, since a tunnel comes back when nobody is there.
 * @returns false where there is a key: it is left as it is @throws FILE
 */
export function makeKeyAt(file: string, comment: string): Promise<boolean> {
  return writeKeyPair(file, makeKeyPair(comment));
}

/** @throws KEY_UNUSABLE where there is no key, or its public half is hidden behind a passphrase */
export async function keyAt(file: string, signal: AbortSignal): Promise<KeyAtHand> {
  const key = await readKeyFile(file, signal);
  if (key?.blob === undefined) {
    const why = key === undefined ? 'there is no such file' : 'its public half is encrypted too';
    throw new TunnelError('KEY_UNUSABLE', `Cannot use the key ${file}: ${why}`, {
      hint: key === undefined ? '' : `Write it beside the key: \`ssh-keygen -y -f ${file} > ${file}.pub\`.`,
    });
  }
  const { blob, publicOnly } = key;
  return {
    file,
    type: new WireReader(blob).text(),
    blob: blob.toString('base64'),
    fingerprint: fingerprint(blob),
    publicOnly,
  };
}
