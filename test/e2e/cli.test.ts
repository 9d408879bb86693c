import { spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ask } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { CAN_HANG, hang } from '../support/hanging.ts';
import { freePort, startSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { TUNNEL, tunnelCli, type Ran, type TunnelCli } from '../support/tunnel-cli.ts';

/** A real server, an echo behind it, and profile `t` that leads there. */
async function stage() {
  const [target, sshd, cli] = [await TcpTarget.start(echo), await startSshd(), await tunnelCli()];
  const port = await freePort();
  const route = `127.0.0.1:${port} -> 127.0.0.1:${target.port}`;
  const text = `description: an echo\ntags: [test]\n${viaSshd(sshd)}forwards:\n  - ${route}\n`;
  await cli.home.profile('t', text);
  return {
    cli,
    sshd,
    port,
    route,
    text,
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await target.close();
    },
  };
}

/** A command that goes on: its output so far, a signal to it, its end. */
function running(cli: TunnelCli, ...args: readonly string[]) {
  const child = spawn(process.execPath, [TUNNEL, ...args], { env: cli.home.env, cwd: cli.home.dir });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
  return { said, ended, kill: (signal: NodeJS.Signals) => child.kill(signal), pid: child.pid };
}

function errorOf({ stdout }: Ran): { code: string; exit: number; hint: string; message: string } {
  const parsed = JSON.parse(stdout) as { error: { code: string; exit: number; hint: string; message: string } };
  expect(Object.keys(parsed)).toEqual(['error']);
  return parsed.error;
}

test('a tunnel from its first up to its down, as a script sees it', async () => {
  await using on = await stage();
  const { cli, port, route } = on;

  expect(await cli.run('up', 't')).toEqual({ code: 0, stdout: `t  ${route}  up\n`, stderr: '' });
  expect(await ask(port, 'hello')).toBe('hello');
  expect((await cli.run('up', 't')).code).toBe(0);
  expect((await cli.run('up', 'tt')).stderr).toContain('did you mean `t`?');

  const { supervisor, tunnels, ...rest } = await cli.snapshot();
  expect(rest).toEqual({ version: 1 });
  expect(Object.keys(supervisor ?? {}).sort()).toEqual(['pid', 'startedAt', 'version']);
  const [tunnel] = tunnels;
  expect(Object.keys(tunnel ?? {}).sort()).toEqual(
    ['forwards', 'lastError', 'latencyMs', 'link', 'name', 'nextRetryAt', 'reconnects', 'since', 'state', 'via'].sort(),
  );
  expect(Object.keys(tunnel?.forwards[0] ?? {}).sort()).toEqual(
    [
      ...['name', 'kind', 'bind', 'target', 'state', 'health', 'openConnections', 'totalConnections'],
      ...['receivedBytes', 'sentBytes', 'lastError'],
    ].sort(),
  );

  expect((await cli.ok('port', 't')).stdout).toBe(`${port}\n`);
  expect((await cli.ok('wait', 't', '--healthy')).stdout).toBe('');
  expect((await cli.ok('list')).stdout).toContain('t     up     an echo      test');
  expect((await cli.ok('status')).stdout).toContain(route);
  expect((await cli.ok('daemon', 'status')).stdout).toContain(`pid ${supervisor?.pid}`);
  await eventually(async () => (await cli.ok('logs', 't')).stdout.includes('5 B received, 5 B sent'));

  expect(await cli.run('down', 't')).toEqual({ code: 0, stdout: 't  stopped\n', stderr: '' });
  expect((await cli.run('down', 't')).code).toBe(0);
  expect((await cli.snapshot('t')).tunnels.map(({ name, state }) => [name, state])).toEqual([['t', 'stopped']]);
  const codes = [];
  for (const line of [
    ['port', 't'],
    ['wait', 't'],
    ['restart', 't'],
    ['wait', 't', '--state', 'down'],
  ]) {
    codes.push((await cli.run(...line)).code);
  }
  expect(codes).toEqual([3, 3, 3, 0]);
});

describe('a command line that is wrong', () => {
  test('changes nothing, starts nothing, and names what was probably meant', async () => {
    await using cli = await tunnelCli();
    await cli.home.profile('pop-mail', 'via: a@b\nforwards: [1:b:2]\n');
    const lines: readonly (readonly [readonly string[], number, string])[] = [
      [['stauts'], 2, 'did you mean `status`?'],
      [['status', '--jsno'], 2, '--json'],
      [['up'], 2, 'no tunnel is named'],
      [['down'], 2, 'Cannot tell what to take down: no tunnel is named'],
      [['up', '--forgruond'], 2, 'See `tunnel help up`'],
      [['up', 'a', '--all'], 2, 'not several'],
      [['up', 'a', '--wait', 'soon'], 2, 'not a duration'],
      [['port'], 2, 'NAME'],
      [['list', 'extra'], 2, 'too many arguments'],
      [['daemon', 'stpo'], 2, 'did you mean `stop`?'],
      [['completion', 'tcsh'], 2, 'bash, zsh, fish, powershell'],
      [['status', 'pop-mial'], 3, 'did you mean `pop-mail`?'],
      [['wait', 'pop-mial'], 3, 'did you mean `pop-mail`?'],
      [['port', 'pop-mial'], 3, 'did you mean `pop-mail`?'],
      [['down', 'pop-mial'], 3, 'did you mean `pop-mail`?'],
      [['reload', 'pop-mial'], 3, 'did you mean `pop-mail`?'],
      [['logs', 'pop-mial'], 3, 'did you mean `pop-mail`?'],
    ];
    for (const [line, code, words] of lines) {
      const plain = await cli.run(...line);
      expect({ line, code: plain.code, stdout: plain.stdout }).toEqual({ line, code, stdout: '' });
      expect(plain.stderr).toContain(words);
      const error = errorOf(await cli.run(...line, '--json'));
      expect({ line, exit: error.exit }).toEqual({ line, exit: code });
    }
    expect((await cli.run('daemon', 'status')).code).toBe(3);
  });
});

test('help, the version and the lists need no supervisor and start none', { timeout: 20_000 }, async () => {
  await using cli = await tunnelCli();
  const { stdout: help } = await cli.ok('--help');
  expect((await cli.ok()).stdout).toBe(help);
  expect((await cli.ok('help', 'up')).stdout).toBe((await cli.ok('up', '--help')).stdout);
  expect((await cli.ok('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(JSON.parse((await cli.ok('status', '--json')).stdout)).toEqual({ version: 1, supervisor: null, tunnels: [] });
  expect(JSON.parse((await cli.ok('list', '--json')).stdout)).toEqual({ version: 1, profiles: [] });
  expect((await cli.ok('logs')).stdout).toBe('');
  expect((await cli.run('daemon', 'status')).code).toBe(3);
});

test('a reader that goes away is no failure', async () => {
  await using cli = await tunnelCli();
  const script = `{ "$0" "$1" help up; echo "status $?" >&2; } | exec true`;
  const child = spawn('sh', ['-c', script, process.execPath, TUNNEL], { env: cli.home.env });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  await new Promise((resolve) => child.once('close', resolve));
  expect(stderr).toBe('status 0\n');
});

describe('up that cannot', () => {
  test('tries the network until --wait, says so, and leaves the tunnel wanted', { timeout: 20_000 }, async () => {
    await using on = await stage();
    const { cli } = on;
    await on.sshd.kill();
    const ran = await cli.run('up', 't', '--wait', '3s');
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 7, stdout: `t  ${on.route}  connecting\n` });
    expect(ran.stderr).toContain('trying for 3s');
    expect(ran.stderr).toContain('The tunnel stays wanted');
    expect(errorOf(await cli.run('up', 't', '--wait', '300ms', '--json')).exit).toBe(7);
    await on.sshd.start();
    await cli.ok('wait', 't', '--timeout', '20s');
  });

  test('returns at once where nobody can be asked about an unknown host', { timeout: 20_000 }, async () => {
    await using on = await stage();
    await writeFile(on.sshd.knownHostsFile, '');
    const error = errorOf(await on.cli.run('up', 't', '--json'));
    expect([error.code, error.exit]).toEqual(['HOST_KEY_UNKNOWN', 5]);
  });

  test('names the holder of a busy port', { timeout: 20_000 }, async () => {
    await using on = await stage();
    const holder = createServer().listen(on.port, '127.0.0.1');
    try {
      const ran = await on.cli.run('up', 't');
      expect(ran.code).toBe(6);
      expect(ran.stderr).toContain(String(process.pid));
      expect(ran.stderr).toContain('stays wanted');
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
    await on.cli.ok('wait', 't', '--timeout', '10s');
  });

  test('withdraws at Ctrl-C what it started, says so, and ends with 130', { timeout: 20_000 }, async () => {
    await using on = await stage();
    const { cli } = on;
    await cli.ok('up', 't');
    const silent = await TcpTarget.start(() => undefined);
    await cli.home.profile('dead', `${viaSshd(on.sshd, silent.port)}forwards:\n  - 127.0.0.1:auto -> x:1\n`);
    const up = running(cli, 'up', 't', 'dead');
    await eventually(async () => (await cli.snapshot()).tunnels.some(({ name }) => name === 'dead'));
    up.kill('SIGINT');
    expect(await up.ended).toBe(130);
    expect(up.said.stderr).toContain('withdrawn: dead; still running: t');
    expect((await cli.snapshot()).tunnels.map(({ name, state }) => [name, state])).toEqual([['t', 'up']]);
    await silent.close();
  });
});

describe('up --foreground', () => {
  test('serves, answers the other commands, and ends well by SIGTERM', { timeout: 20_000 }, async () => {
    await using on = await stage();
    const { cli, port } = on;
    const up = running(cli, 'up', '-f', 't');
    await eventually(async () => (await cli.run('wait', 't', '--timeout', '5s')).code === 0, { withinMs: 10_000 });
    expect(await ask(port, 'hello')).toBe('hello');
    expect((await cli.snapshot()).supervisor?.pid).toBe(up.pid);
    const second = await cli.run('up', '-f', 't');
    expect({ code: second.code, names: second.stderr.includes(String(up.pid)) }).toEqual({ code: 1, names: true });
    up.kill('SIGTERM');
    expect(await up.ended).toBe(0);
    expect(up.said.stdout).toContain('t  up');
    expect(await refuses(port)).toBe(true);
  });

  test('ends with the failure once all its tunnels have failed', { timeout: 20_000 }, async () => {
    await using on = await stage();
    await writeFile(on.sshd.knownHostsFile, '');
    const up = running(on.cli, 'up', '-f', 't');
    expect(await up.ended).toBe(5);
    expect(up.said.stderr).toContain('tunnel trust');
  });
});

test('status --watch on a pipe is a line per change, under --json an object a line', { timeout: 20_000 }, async () => {
  await using on = await stage();
  const { cli } = on;
  const plain = running(cli, 'status', '--watch');
  const json = running(cli, 'status', '--watch', '--json', 't');
  await eventually(() => json.said.stdout.includes('"stopped"'));
  await cli.ok('up', 't');
  await eventually(() => json.said.stdout.includes('"up"') && plain.said.stdout.includes('t  up'));
  await cli.ok('down', 't');
  await eventually(() => plain.said.stdout.includes('t  stopped'));
  for (const watch of [plain, json]) watch.kill('SIGINT');
  expect(await Promise.all([plain.ended, json.ended])).toEqual([130, 130]);
  const objects = json.said.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { version: number });
  expect(objects.every(({ version }) => version === 1)).toBe(true);
  expect(plain.said.stderr).toBe('');
});

test(
  'of a supervisor that hangs status --watch and list say so, list with every profile; the watch goes on with the next',
  { timeout: 60_000 },
  async () => {
    await using on = await stage();
    const { cli } = on;
    await cli.runWith({ env: CAN_HANG }, 'up', 't');
    const plain = running(cli, 'status', '--watch');
    const json = running(cli, 'status', '--watch', '--json');
    const lastOf = ({ said }: typeof json): string => said.stdout.trimEnd().split('\n').at(-1) ?? '';
    const both = (inPlain: string, inJson: string): Promise<unknown> =>
      eventually(
        () => {
          expect(lastOf(plain)).toContain(inPlain);
          expect(lastOf(json)).toContain(inJson);
          return true;
        },
        { withinMs: 10_000 },
      );
    await both('t  up', '"state":"up"');
    const pid = await cli.supervisorPid();

    await hang(pid);
    const listed = Promise.all([cli.run('list'), cli.run('list', '--json')]);
    const silent = `(pid ${pid}): it does not answer`;
    await both(`${silent}. Run \`tunnel daemon restart\`.`, silent);
    const [table, asJson] = await listed;
    expect([table.code, asJson.code]).toEqual([1, 1]);
    expect(table.stdout).toMatch(/^NAME +STATE.*\nt +\?/);
    expect(table.stderr).toContain(`does not answer, though it runs (pid ${pid})`);
    expect(JSON.parse(asJson.stdout)).toMatchObject({ error: { code: 'SUPERVISOR_UNREACHABLE', exit: 1 } });
    process.kill(pid, 'SIGKILL');
    await both('No supervisor runs; these were up: t.', '"supervisor":null');
    await cli.ok('up', 't');
    await both('t  up', '"state":"up"');
    await cli.ok('daemon', 'restart');
    await both('t  up', `"pid":${await cli.supervisorPid()},`);

    for (const watch of [plain, json]) watch.kill('SIGINT');
    expect(await Promise.all([plain.ended, json.ended])).toEqual([130, 130]);
  },
);

test('logs -f prints what happens', { timeout: 20_000 }, async () => {
  await using on = await stage();
  const logs = running(on.cli, 'logs', '-f', '--json');
  await on.cli.ok('up', 't');
  await eventually(() => logs.said.stdout.includes('"state":"up"'));
  logs.kill('SIGINT');
  expect(await logs.ended).toBe(130);
});

test('bash completes verbs and profile names', { timeout: 20_000 }, async () => {
  await using cli = await tunnelCli();
  await cli.home.profile('pop-mail', '');
  await writeFile(join(cli.home.dir, 'tunnel-bin'), `#!/bin/sh\nexec "${process.execPath}" "${TUNNEL}" "$@"\n`, {
    mode: 0o755,
  });
  const script = [
    `tunnel() { "${join(cli.home.dir, 'tunnel-bin')}" "$@"; }`,
    'eval "$(tunnel completion bash)"',
    'COMP_WORDS=(tunnel up po); COMP_CWORD=2; _tunnel; echo "${COMPREPLY[@]}"',
    'COMP_WORDS=(tunnel stat); COMP_CWORD=1; _tunnel; echo "${COMPREPLY[@]}"',
  ].join('\n');
  const child = spawn('bash', ['--norc', '-c', script], { env: cli.home.env });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  await new Promise((resolve) => child.once('close', resolve));
  expect(stdout).toBe('pop-mail\nstatus\n');
});

function refuses(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(true)).once('connect', () => resolve(socket.destroy() === undefined));
  });
}
