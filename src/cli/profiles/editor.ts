import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { TunnelError } from '../../model/failure.ts';
import { shellWords } from '../wizard/shell-words.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** A private copy of a text, for the person's editor to work on. Whoever opened it discards it. */
export interface EditedCopy {
  readonly file: string;
  /** Runs the editor on the copy and returns what is in it afterwards. @throws FILE where the editor fails */
  edit(): Promise<string>;
  /** Safe to call twice. */
  discard(): Promise<void>;
}

/** @param file whose name the copy has, so that the editor knows its language */
export async function openCopy(file: string, text: string, env: Env): Promise<EditedCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'tunnel-edit-')); // 0700, as mkdtemp makes them
  const copy = join(folder, basename(file));
  await writeFile(copy, text, { mode: 0o600 });
  return {
    file: copy,
    edit: async () => {
      await runEditor(editorOf(env), copy);
      return readFile(copy, 'utf8');
    },
    discard: () => rm(folder, { recursive: true, force: true }),
  };
}

/** As git and crontab have it: VISUAL, EDITOR, else what every such system has. */
function editorOf(env: Env): readonly string[] {
  const line = [env['VISUAL'], env['EDITOR']].find((value) => value !== undefined && value.trim() !== '');
  return shellWords(line ?? (process.platform === 'win32' ? 'notepad' : 'vi'));
}

async function runEditor([program = '', ...args]: readonly string[], file: string): Promise<void> {
  const restore = ignoreInterrupts();
  try {
    await new Promise<void>((resolve, reject) => {
      const child = spawn(program, [...args, file], { stdio: 'inherit' });
      child.once('error', (error: NodeJS.ErrnoException) => reject(cannotStart(program, error)));
      child.once('exit', (status, signal) => {
        if (status === 0) return resolve();
        const how = signal === null ? `status ${status ?? 1}` : signal;
        reject(new TunnelError('FILE', `Cannot use the text: the editor ${program} ended with ${how}`));
      });
    });
  } finally {
    restore();
  }
}

function cannotStart(program: string, error: NodeJS.ErrnoException): TunnelError {
  const why = error.code === 'ENOENT' ? 'there is no such program' : error.message;
  return new TunnelError('FILE', `Cannot start the editor ${program}: ${why}`, {
    cause: error,
    hint: 'Name your editor in VISUAL or EDITOR.',
  });
}

/** An editor shares our terminal, and its Ctrl-C reaches us too: it means something inside the editor, not to us. */
function ignoreInterrupts(): () => void {
  const listeners = process.listeners('SIGINT');
  const nothing = (): void => {};
  process.removeAllListeners('SIGINT').on('SIGINT', nothing);
  return () => {
    process.off('SIGINT', nothing);
    for (const listener of listeners) process.on('SIGINT', listener);
  };
}
