import { randomUUID } from 'node:crypto';
import { access, link, open, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { TunnelError } from '../model/failure.ts';
import { errorCode, fileError } from './file-error.ts';
import { ensurePrivateFolder } from './private-folder.ts';

/** The texts of a private key file and of the `.pub` file beside it. */
export interface KeyTexts {
  readonly private: string;
  /** Without the end of its line. */
  readonly public: string;
}

/**
 * Keeps a key pair as ssh-keygen does, `file` and `file.pub` beside it, both 0600 and in a private folder. Never over a key that
 * is there. @returns false where there is one: nothing was written @throws FILE
 */
export async function writeKeyPair(file: string, texts: KeyTexts): Promise<boolean> {
  await ensurePrivateFolder(dirname(file));
  const [half, publicHalf] = await Promise.all([file, `${file}.pub`].map(isThere));
  if (half === true) return false;
  if (publicHalf === true) {
    throw new TunnelError('FILE', `Cannot write the key ${file}: its public half ${file}.pub is there already`, {
      hint: 'Where its private half is elsewhere, name that one with --key; otherwise move the file away.',
    });
  }
  if (!(await writeNew(file, texts.private))) return false;
  await writeNew(`${file}.pub`, `${texts.public}\n`);
  return true;
}

/** By a draft and a link, which unlike rename(2) fails where there is something: nobody reads half a key. */
async function writeNew(file: string, text: string): Promise<boolean> {
  const draft = join(dirname(file), `.${basename(file)}.${randomUUID()}.new`);
  try {
    const out = await open(draft, 'wx', 0o600);
    try {
      await out.writeFile(text);
      await out.sync();
    } finally {
      await out.close();
    }
    await link(draft, file);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw fileError(`write the key ${file}`, error);
  } finally {
    await rm(draft, { force: true });
  }
}

function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** What was last put into authorized_keys for a key, kept beside it. @returns undefined where nothing is known */
export async function readInstalledNote(file: string): Promise<string | undefined> {
  return readFile(noteOf(file), 'utf8').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw fileError(`read ${noteOf(file)}`, error);
  });
}

/** @param text undefined forgets it @throws FILE */
export async function writeInstalledNote(file: string, text: string | undefined): Promise<void> {
  const note = noteOf(file);
  try {
    if (text === undefined) await rm(note, { force: true });
    else await writeFile(note, text, { mode: 0o600 });
  } catch (error) {
    throw fileError(`write ${note}`, error);
  }
}

function noteOf(file: string): string {
  return `${file}.installed`;
}
