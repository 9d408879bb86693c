import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { changeScript, lookScript, readScriptOutput, type ScriptSaid } from '../../src/authorize/remote-script.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

const MARK = 'tunnel-0123456789abcdef';
const LINE = 'restrict,command="false" ssh-ed25519 AAAAkey tunnel:mail@laptop';
const OTHERS =
  'ssh-rsa AAAAother alice@home\n# a \'note\' with \\ and $HOME and *\n\n  from="10.0.0.1" ssh-rsa AAAAmore\n';

/** Every POSIX shell that is here may be the server's. */
const SHELLS = ['/bin/dash', '/bin/bash', '/bin/ksh', '/bin/zsh'].filter((shell) => existsSync(shell));

interface Ran extends ScriptSaid {
  readonly errors: string;
}

/** Runs a script as the server does: on standard input, in that home. */
function run(script: string, home: TempHome, shell = '/bin/sh', dir = home.dir): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(shell, ['-s'], { env: { ...home.env, HOME: dir }, cwd: '/' });
    let [output, errors] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    child.once('error', reject);
    child.once('close', () => resolve({ ...readScriptOutput(output, MARK), errors }));
    child.stdin.end(script);
  });
}

function fileIn(home: TempHome): string {
  return join(home.dir, '.ssh', 'authorized_keys');
}

/** Gives the account a file with this text. */
async function given(text: string): Promise<TempHome> {
  const home = await tempHome();
  await mkdir(join(home.dir, '.ssh'), { mode: 0o700 });
  await writeFile(fileIn(home), text, { mode: 0o640 });
  return home;
}

describe.each(SHELLS)('under %s', (shell) => {
  test('a line is put into a new file, which is private, as is its folder; a second time adds nothing', async () => {
    await using home = await tempHome();

    const [first, second] = [
      await run(changeScript({ drop: [], add: LINE }, MARK), home, shell),
      await run(changeScript({ drop: [], add: LINE }, MARK), home, shell),
    ];

    expect([first, second]).toEqual([0, 1].map(() => ({ rows: [], loose: [], done: true, errors: '' })));
    expect(await readFile(fileIn(home), 'utf8')).toBe(`${LINE}\n`);
    const modes = await Promise.all([fileIn(home), join(home.dir, '.ssh')].map((path) => stat(path)));
    expect(modes.map(({ mode }) => mode & 0o777)).toEqual([0o600, 0o700]);
  });

  test.each([
    ['with an end of its last line', OTHERS, ''],
    ['without one', OTHERS.trimEnd(), '\n'],
  ])('what is there stays as it is, in a file %s', async (_, before, gap) => {
    await using home = await given(before);

    await run(changeScript({ drop: [], add: LINE }, MARK), home, shell);

    expect(await readFile(fileIn(home), 'utf8')).toBe(`${before}${gap}${LINE}\n`);
    expect((await stat(fileIn(home))).mode & 0o777).toBe(0o640);
  });

  test('older lines give way to a new one; the others keep their order, the file its mode', async () => {
    const old = ['restrict ssh-ed25519 AAAAkey one', "restrict ssh-ed25519 AAAAkey o'two *"];
    await using home = await given(`${old[0] ?? ''}\n${OTHERS}${old[1] ?? ''}`);

    const looked = await run(lookScript('AAAAkey', MARK), home, shell);
    await run(changeScript({ drop: looked.rows, add: LINE }, MARK), home, shell);

    expect(looked).toEqual({ rows: old, loose: [], done: true, errors: '' });
    expect(await readFile(fileIn(home), 'utf8')).toBe(`${OTHERS}${LINE}\n`);
    expect((await stat(fileIn(home))).mode & 0o777).toBe(0o640);
    expect(await readdir(join(home.dir, '.ssh'))).toEqual(['authorized_keys']);
  });

  test('a script that arrives in part runs nothing', async () => {
    await using home = await tempHome();
    const script = changeScript({ drop: [], add: LINE }, MARK);

    for (const part of [0.3, 0.6, 0.9]) {
      const { done } = await run(script.slice(0, Math.floor(script.length * part)), home, shell);
      expect(done).toBe(false);
    }

    expect(existsSync(join(home.dir, '.ssh'))).toBe(false);
  });
});

test('the last line can be taken out, and leaves an empty file', async () => {
  await using home = await given(`${LINE}\n`);
  expect(await run(changeScript({ drop: [LINE], add: '' }, MARK), home)).toMatchObject({ done: true });
  expect(await readFile(fileIn(home), 'utf8')).toBe('');
});

test('a file that is a link is added to behind the link, and never replaced', async () => {
  await using home = await given(OTHERS);
  const real = join(home.dir, 'keys');
  await writeFile(real, `${LINE} old\n`);
  await chmod(join(home.dir, '.ssh'), 0o700);
  const linked = join(home.dir, 'other');
  await mkdir(join(linked, '.ssh'), { recursive: true });
  await symlink(real, join(linked, '.ssh', 'authorized_keys'));

  const added = await run(changeScript({ drop: [], add: LINE }, MARK), home, '/bin/sh', linked);
  const refused = await run(changeScript({ drop: [LINE], add: '' }, MARK), home, '/bin/sh', linked);

  expect([added.done, refused.done]).toEqual([true, false]);
  expect(refused.errors).toContain('symbolic link');
  expect(await readFile(real, 'utf8')).toBe(`${LINE} old\n${LINE}\n`);
});

test('where nothing can be written the shell says why, and nothing is reported as done', async () => {
  await using home = await tempHome();
  await writeFile(join(home.dir, '.ssh'), 'a file in the way');

  const ran = await run(changeScript({ drop: [], add: LINE }, MARK), home);

  expect(ran).toMatchObject({ done: false });
  expect(ran.errors).toMatch(/\.ssh/);
});

test('places that others can write to are told, since sshd takes no key from them', async () => {
  await using home = await given(OTHERS);
  await chmod(home.dir, 0o777);
  await chmod(fileIn(home), 0o660);
  expect((await run(lookScript('AAAAkey', MARK), home)).loose).toEqual(['.', '.ssh/authorized_keys']);
});

test('what others print before and between is not taken for an answer', () => {
  const output = `Welcome\ndone\nother-mark done \n${MARK} row a b\n${MARK} done \n`;
  expect(readScriptOutput(output, MARK)).toEqual({ rows: ['a b'], loose: [], done: true });
  expect(readScriptOutput('Welcome\n', MARK).done).toBe(false);
});
