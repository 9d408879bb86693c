import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { ask, refuses } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { KEYS, Terminal } from '../support/pty.ts';
import { TUNNEL, tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

/** A TMPDIR of its own shows what a demo leaves behind. */
function inTempDir(cli: TunnelCli): { env: Record<string, string>; left: () => Promise<string[]> } {
  const env = { ...cli.home.env, TMPDIR: cli.home.dir };
  return { env, left: async () => (await readdir(cli.home.dir)).filter((name) => name.startsWith('tunnel-')) };
}

test('without a terminal it shows mail before and after the cut, and ends with 0', async () => {
  await using cli = await tunnelCli();
  const { env, left } = inTempDir(cli);

  const ran = await cli.runWith({ env }, 'demo');

  expect(ran).toMatchObject({ code: 0, stderr: '' });
  expect(ran.stdout).toMatch(
    /C: RETR 1\n {2}S: \+OK 406 octets\n.*C: QUIT.*Now the SSH connection is cut.*C: LIST\n {2}S: \+OK 3 messages/s,
  );
  expect(ran.stdout).toMatch(/Served \d+ ms after the cut/);
  expect(await left()).toEqual([]);
});

test('two demos at once do not meet', async () => {
  await using cli = await tunnelCli();
  const { env, left } = inTempDir(cli);

  const both = await Promise.all([cli.runWith({ env }, 'demo', '--json'), cli.runWith({ env }, 'demo', '--json')]);

  const shown = both.map(({ stdout }) => JSON.parse(stdout) as { port: number; reconnects: number });
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  expect(shown.map(({ reconnects }) => reconnects)).toEqual([1, 1]);
  expect(shown[0]?.port).not.toBe(shown[1]?.port);
  expect(await left()).toEqual([]);
});

test('on a terminal it serves a mail client until Ctrl-C, and then leaves nothing', async () => {
  await using cli = await tunnelCli();
  const { env, left } = inTempDir(cli);
  await using screen = new Terminal(process.execPath, [TUNNEL, 'demo'], { env, cwd: cli.home.dir });
  const port = Number((await screen.expect(/Port +\d+\s/, 15_000)).replace(/\D+/g, ''));
  await screen.expect('tunnel new');

  const mail = await ask(port, 'USER me\r\nPASS x\r\nSTAT\r\nQUIT\r\n');
  screen.type(KEYS.ctrlC);

  expect(mail).toContain('+OK 3 1112\r\n');
  expect(await screen.exit()).toBe(0);
  expect(await left()).toEqual([]);
  expect(await refuses(port)).toBe(true);
});

test.each<[what: string, signals: readonly NodeJS.Signals[]]>([
  ['Ctrl-C in the middle', ['SIGINT']],
  ['an impatient second signal', ['SIGINT', 'SIGTERM']],
  ['a terminal that is closed', ['SIGHUP']],
])('%s leaves no folder and no supervisor', async (_what, signals) => {
  await using cli = await tunnelCli();
  const { env, left } = inTempDir(cli);
  await using screen = new Terminal(process.execPath, [TUNNEL, 'demo'], { env, cwd: cli.home.dir });
  const port = Number((await screen.expect(/up +localhost:\d+\s/, 15_000)).replace(/\D+/g, ''));

  for (const signal of signals) process.kill(screen.pid, signal);

  expect(await screen.exit()).toBe(130);
  expect(await left()).toEqual([]);
  await eventually(() => refuses(port), { what: 'the listener to go' });
});
