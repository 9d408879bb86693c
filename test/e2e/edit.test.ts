import { readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KEYS, Terminal } from '../support/pty.ts';
import { startSshd } from '../support/sshd.ts';
import { viaSshd } from '../support/temp-home.ts';
import { TUNNEL, tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

const GOOD =
  'via: alice@pop.example.org # mine\nsshConfig: none\nforwards:\n  - localhost:1113 -> pop.example.org:113\n';

/** A person's editor: a sed script with its arguments in quotes, as VISUAL may have them. */
const editor = (script: string): Record<string, string> => ({ VISUAL: `sed -i -e '${script}'` });

describe('edit', () => {
  test('keeps a change that is right, comments and all', async () => {
    await using cli = await tunnelCli();
    const file = await cli.home.profile('mail', GOOD);

    const ran = await cli.runWith({ env: editor('s/1113/1114/') }, 'edit', 'mail', '--json');

    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(ran.stdout)).toEqual({ version: 1, name: 'mail', file, changed: true });
    expect(await readFile(file, 'utf8')).toBe(GOOD.replace('1113', '1114'));
  });

  test('refuses a change that is wrong, with every place in the profile itself, and changes nothing', async () => {
    await using cli = await tunnelCli();
    const file = await cli.home.profile('mail', GOOD);

    const ran = await cli.runWith({ env: editor('s/via:/vai:/; s/1113/99999/') }, 'edit', 'mail');

    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain(`${file}:1:1: `);
    expect(ran.stderr).toContain('`via`');
    expect(ran.stderr).toContain(`${file}:4:5: `);
    expect(await readFile(file, 'utf8')).toBe(GOOD);
    expect(await readdir(cli.home.profilesDir)).toEqual(['mail.yaml']);
  });

  test.each([
    ['fails', 'false', 'status 1'],
    ['is not there', 'no-such-editor -w', 'no such program'],
  ])('changes nothing where the editor %s', async (_what, EDITOR, why) => {
    await using cli = await tunnelCli();
    const file = await cli.home.profile('mail', GOOD);

    const ran = await cli.runWith({ env: { EDITOR } }, 'edit', 'mail');

    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain(why);
    expect(await readFile(file, 'utf8')).toBe(GOOD);
  });

  test('follows a link to where the person keeps the profile', async () => {
    await using cli = await tunnelCli();
    const real = join(cli.home.dir, 'dotfiles-mail.yaml');
    await writeFile(real, GOOD);
    const file = await cli.home.profile('other', GOOD);
    await symlink(real, file.replace('other', 'mail'));

    await cli.runWith({ env: editor('s/1113/1114/') }, 'edit', 'mail');

    expect(await readFile(real, 'utf8')).toContain('1114');
  });

  test('offers to go on editing on a terminal, and a Ctrl-C in the editor is the editor’s', async () => {
    await using cli = await tunnelCli();
    const file = await cli.home.profile('mail', GOOD);
    const script = join(cli.home.dir, 'editor.sh');
    // First a mistake, after a Ctrl-C that only the editor heeds; then its correction.
    await writeFile(
      script,
      'if grep -q 1113 "$1"; then trap : INT; echo editing; until read line; do :; done; sed -i s/1113/oops/ "$1"; else sed -i s/oops/1115/ "$1"; fi\n',
    );
    await using screen = terminal(cli, { VISUAL: `sh ${script}` }, 'edit', 'mail');

    await screen.expect('editing');
    screen.type(KEYS.ctrlC);
    screen.enter('go');
    await screen.expect(`${file}:4:5:`);
    await screen.expect('Edit it again?');
    screen.enter();
    await screen.expect('Saved');

    expect(await screen.exit()).toBe(0);
    expect(await readFile(file, 'utf8')).toBe(GOOD.replace('1113', '1115'));
  });
});

describe('rename', () => {
  test('gives the profile another name, and never that of one that is there', async () => {
    await using cli = await tunnelCli();
    await cli.home.profile('mail', GOOD);
    await cli.home.profile('other', 'theirs\n');

    const refused = await cli.run('rename', 'mail', 'other');
    const bad = await cli.run('rename', 'mail', 'No Name');
    const ran = await cli.run('rename', 'mail', 'pop-mail');

    expect([refused.code, bad.code, ran.code]).toEqual([2, 2, 0]);
    expect(await readdir(cli.home.profilesDir)).toEqual(['other.yaml', 'pop-mail.yaml']);
    expect(await readFile(join(cli.home.profilesDir, 'other.yaml'), 'utf8')).toBe('theirs\n');
  });
});

describe('rm', () => {
  test('needs a yes: typed, or given', async () => {
    await using cli = await tunnelCli();
    await cli.home.profile('mail', GOOD);

    const unasked = await cli.run('rm', 'mail');
    await using screen = terminal(cli, {}, 'rm', 'mail');
    await screen.expect('Remove');
    screen.enter(); // no is what Enter means
    const kept = await screen.exit();
    const there = await readdir(cli.home.profilesDir);
    const removed = await cli.run('rm', 'mail', '--yes');

    expect([unasked.code, kept, removed.code]).toEqual([2, 0, 0]);
    expect(there).toEqual(['mail.yaml']);
    expect(await readdir(cli.home.profilesDir)).toEqual([]);
  });

  test('an unknown name is 3, with the near one', async () => {
    await using cli = await tunnelCli();
    await cli.home.profile('mail', GOOD);

    const ran = await cli.run('rm', 'mial', '--yes');

    expect(ran.code).toBe(3);
    expect(ran.stderr).toContain('mail');
  });

  test('leaves a running tunnel alone unless it may stop it', async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    await cli.home.profile('mail', `${viaSshd(sshd)}forwards:\n  - localhost:auto -> localhost:${sshd.port}\n`);
    await cli.ok('up', 'mail');

    const refused = await cli.run('rm', 'mail', '--yes');
    const renamed = await cli.run('rename', 'mail', 'post');
    const edited = await cli.runWith({ env: editor('$ a description: new') }, 'edit', 'mail');
    const removed = await cli.run('rm', 'mail', '--yes', '--down');

    expect([refused.code, renamed.code, edited.code, removed.code]).toEqual([2, 2, 0, 0]);
    expect(edited.stderr).toContain('tunnel reload mail');
    expect((await cli.snapshot()).tunnels).toEqual([]);
    expect(await readdir(cli.home.profilesDir)).toEqual([]);
  });
});

function terminal(cli: TunnelCli, env: Record<string, string>, ...args: readonly string[]): Terminal {
  return new Terminal(process.execPath, [TUNNEL, ...args], { env: { ...cli.home.env, ...env }, cwd: cli.home.dir });
}
