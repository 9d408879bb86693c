import { createPrivateKey, KeyObject } from 'node:crypto';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import ssh2 from 'ssh2';

/** `key`, or that the passphrase is wrong, or why the key cannot be read with any. */
export type Decoded =
  { readonly key: KeyObject } | { readonly wrong: 'passphrase' } | { readonly wrong: 'key'; readonly why: string };

/**
 * Decodes a private key, an encrypted one on a thread of its own: bcrypt in JavaScript holds an event loop for 0.3 to
 * 3.5 s, and with it every connection of every tunnel. The signal ends the thread.
 */
export function decodeKey(
  text: string,
  reader: 'ssh2' | 'crypto',
  passphrase: string | undefined,
  signal: AbortSignal,
): Promise<Decoded> {
  if (passphrase === undefined) return Promise.resolve(decodePlain(text, reader)); // nothing slow about it
  return new Promise((resolve, reject) => {
    const worker = new Worker(WORKER, { eval: true, workerData: { text, reader, passphrase, parser: PARSER } });
    const abort = (): void => {
      void worker.terminate();
      reject(signal.reason instanceof Error ? signal.reason : new Error('Aborted'));
    };
    signal.addEventListener('abort', abort, { once: true });
    worker.once('message', (message: unknown) => resolve(asDecoded(message)));
    worker.once('error', reject);
    worker.once('exit', () => {
      signal.removeEventListener('abort', abort);
      reject(new Error('The decoder ended without an answer')); // does nothing where it has answered
    });
    if (signal.aborted) abort();
  });
}

const PARSER = createRequire(import.meta.url).resolve('ssh2/lib/protocol/keyParser.js');

/**
 * As text, since a thread starts from a file that Node itself can run: under a TypeScript loader (the tests) there is
 * none beside this one. A KeyObject crosses to the other thread as it is.
 */
const WORKER = `
const { createPrivateKey } = require('node:crypto');
const { parentPort, workerData } = require('node:worker_threads');
const { text, reader, passphrase, parser } = workerData;
function decode() {
  if (reader === 'crypto') return createPrivateKey({ key: text, passphrase });
  const key = require(parser).parseKey(text, passphrase);
  if (key instanceof Error) throw key;
  return createPrivateKey(key.getPrivatePEM());
}
try {
  parentPort.postMessage({ key: decode() });
} catch (error) {
  parentPort.postMessage({ error: String(error.message), code: String(error.code ?? '') });
}
`;

function decodePlain(text: string, reader: 'ssh2' | 'crypto'): Decoded {
  try {
    return { key: createPrivateKey(reader === 'crypto' ? text : pemOf(text)) };
  } catch (error) {
    return { wrong: 'key', why: error instanceof Error ? error.message : String(error) };
  }
}

function pemOf(text: string): string {
  const key = ssh2.utils.parseKey(text);
  if (key instanceof Error) throw key;
  return key.getPrivatePEM();
}

function asDecoded(message: unknown): Decoded {
  if (typeof message !== 'object' || message === null) return { wrong: 'key', why: 'the decoder gave no answer' };
  if ('key' in message && message.key instanceof KeyObject) return { key: message.key };
  const why = 'error' in message && typeof message.error === 'string' ? message.error : 'unknown';
  // A wrong passphrase shows as a failed check, as bad padding or as nonsense; these are what it never shows as.
  const unreadable = /^(Malformed|Unsupported)|unsupported/i.test(why);
  return unreadable ? { wrong: 'key', why } : { wrong: 'passphrase' };
}
