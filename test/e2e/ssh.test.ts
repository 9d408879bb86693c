import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { freePort, makeKey, startSshd, type TestSshd } from '../support/sshd.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';
import { TUNNEL, tunnelCli, type Ran, type TunnelCli } from '../support/tunnel-cli.ts';

const run = promisify(execFile);

/** The options by which both commands reach the test server, and no configuration of this machine. */
function options(sshd: TestSshd, knownHosts = sshd.knownHostsFile): string[] {
  return ['-F', 'none', '-p', String(sshd.port), '-o', `UserKnownHostsFile=${knownHosts}`, '-o', 'BatchMode=yes'];
}
const withKey = (sshd: TestSshd): string[] => [...options(sshd), '-i', sshd.identityFile];
const server = ({ user }: TestSshd): string => `${user}@127.0.0.1`;

/** The same line by ssh itself. */
function ssh(cli: TunnelCli, stdin: string, ...args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile('ssh', args, { env: cli.home.env, cwd: cli.home.dir }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
    child.stdin?.on('error', () => undefined); // it may end without having read it, and its exit code tells why
    child.stdin?.end(stdin);
  });
}

/** Both commands with one line: their exit codes, their data, and the last words of each. */
async function both(cli: TunnelCli, args: readonly string[], stdin = ''): Promise<{ ours: Ran; theirs: Ran }> {
  const [ours, theirs] = await Promise.all([cli.runWith({ stdin }, 'ssh', ...args), ssh(cli, stdin, ...args)]);
  return { ours, theirs };
}
const lastWords = ({ stderr }: Ran): string => stderr.replaceAll('\r', '').trim().split('\n').at(-1) ?? '';

/** `tunnel ssh` in the foreground, until the test is over. */
function hold(cli: TunnelCli, ...args: readonly string[]): AsyncDisposable & { readonly child: ChildProcess } {
  const child = spawn(process.execPath, [TUNNEL, 'ssh', ...args], { env: cli.home.env, stdio: 'ignore' });
  return {
    child,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

async function said(where: number | string, text: string): Promise<string> {
  const socket =
    typeof where === 'number'
      ? await eventually(() => client(where), { withinMs: 10_000 })
      : connect({ path: where, allowHalfOpen: true });
  const read = transcript(socket);
  socket.end(text);
  return (await read).text;
}

const [GRANTED, PROHIBITED] = [0, 2];

/** What a SOCKS5 proxy answers to a wish for a port of this machine (RFC 1928 section 6). */
async function socksReply(proxy: number, port: number): Promise<number> {
  const socket = await client(proxy);
  socket.write(Buffer.from([5, 1, 0]));
  await once(socket, 'data');
  socket.write(Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255]));
  const [reply] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return reply[1] ?? -1;
}

test('`true` logs in and leaves as ssh does: 0, or 255 with the same last words', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  const stranger = join(cli.home.dir, 'stranger');
  await makeKey(stranger, 'ed25519');
  const closed = String(await freePort());

  const version = await cli.run('ssh', '-V');
  const good = await both(cli, [...withKey(sshd), server(sshd), 'true']);
  const failures = await Promise.all([
    both(cli, [...options(sshd), '-i', stranger, '-o', 'PreferredAuthentications=publickey', server(sshd), 'true']),
    // BatchMode takes the two others away, so that no method is left.
    both(cli, [...withKey(sshd), '-o', 'PreferredAuthentications=keyboard-interactive', server(sshd), 'true']),
    both(cli, [...options(sshd, join(cli.home.dir, 'none')), '-o', 'StrictHostKeyChecking=yes', server(sshd), 'true']),
    both(cli, ['-F', 'none', '-p', closed, '127.0.0.1', 'true']),
    both(cli, ['-F', 'none', 'no..where', 'true']), // no DNS is asked, which may not answer, or one of the two alone
  ]);

  expect(version).toMatchObject({ code: 0, stdout: '' });
  expect(version.stderr).toMatch(/^tunnel \d/);
  expect(good).toMatchObject({ ours: { code: 0, stdout: '' }, theirs: { code: 0 } });
  for (const { ours, theirs } of failures) {
    expect([ours.code, lastWords(ours)]).toEqual([theirs.code, lastWords(theirs)]);
  }
});

test('what a ProxyCommand says and the banner of the server reach stderr, cleaned, unless LogLevel hushes them', async () => {
  const banner = join(await mkdtemp(join(tmpdir(), 'tunnel-banner-')), 'banner');
  onTestFinished(() => rm(dirname(banner), { recursive: true }));
  await writeFile(banner, 'All \u001b[31mis logged\n');
  await using sshd = await startSshd({ config: [`Banner ${banner}`] });
  await using cli = await tunnelCli();
  const line = [...withKey(sshd), server(sshd), 'true'];
  // It reads the version that is sent to it: to one that is gone, `ssh` fails by writing or by reading, as the dice fall.
  const broken = ['-o', `ProxyCommand=sh -c 'read _; no-such-command'`];

  const plain = await both(cli, line);
  const hushed = await both(cli, ['-o', 'LogLevel=ERROR', ...line]);
  const failed = await both(cli, [...broken, ...line]);

  expect([plain, hushed].map(({ ours, theirs }) => [ours.code, theirs.code])).toEqual([
    [0, 0],
    [0, 0],
  ]);
  expect(plain.ours.stderr).toContain('says: All \\u001b[31mis logged\n');
  expect([hushed.ours.stderr, hushed.theirs.stderr]).toEqual(['', '']);
  expect([failed.ours.code, lastWords(failed.ours)]).toEqual([failed.theirs.code, lastWords(failed.theirs)]);
  expect(failed.ours.stderr).toContain('no-such-command: not found');
});

test('a key logs in in each form that ssh-keygen writes, and one of PuTTY is told with the command that converts it', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  // Every type in every form: test/integration/ssh-key-forms.test.ts.
  const forms = ['ed25519', 'ecdsa -m PEM', 'rsa -b 2048 -m PKCS8'];
  const keys = forms.map((_, index) => join(cli.home.dir, `key${index}`));
  for (const [index, form] of forms.entries()) {
    const file = keys[index] ?? '';
    await run('ssh-keygen', ['-q', '-N', '', '-f', file, '-t', ...form.split(' ')]);
    await appendFile(sshd.authorizedKeysFile, await readFile(`${file}.pub`));
    await rm(`${file}.pub`); // the private half has to do
  }
  const putty = join(cli.home.dir, 'key.ppk');
  await writeFile(putty, 'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n', { mode: 0o600 });

  const login = (key: string): Promise<Ran> => cli.run('ssh', ...options(sshd), '-i', key, server(sshd), 'true');
  const admitted = await Promise.all(keys.map(login));
  const refused = await login(putty);

  expect(admitted).toEqual(keys.map(() => ({ code: 0, stdout: '', stderr: '' })));
  expect(refused.code).toBe(255);
  expect(refused.stderr).toContain(`puttygen ${putty} -O private-openssh`);
});

test('a ProxyCommand is a line of shell with the names of the host in it, and no name becomes a line', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  const [through, names, pwned] = ['through.mjs', 'names', 'pwned'].map((name) => join(cli.home.dir, name));
  await writeFile(
    `${through}`,
    `import { connect } from 'node:net';
     import { appendFileSync } from 'node:fs';
     const [host, port, user] = process.argv.slice(2);
     appendFileSync('${names}', user + '@' + host + '\\n');
     const socket = connect(Number(port), host);
     process.stdin.pipe(socket).pipe(process.stdout);`,
  );
  const command = `ProxyCommand=${process.execPath} '${through}' %h %p "$(echo %r)"`;
  const line = (host: string): string[] => [...withKey(sshd), '-o', command, host, 'true'];

  const good = await both(cli, line(server(sshd)));
  const odd = await cli.run('ssh', ...line(`${sshd.user}@x;touch$IFS${pwned}`));
  const option = await cli.run('ssh', ...withKey(sshd), '--', `-oProxyCommand=touch ${pwned}`, 'true');

  expect([good.ours.code, good.theirs.code, odd.code, option.code]).toEqual([0, 0, 255, 255]);
  expect(await readFile(`${names}`, 'utf8')).toBe(`${server(sshd)}\n`.repeat(2));
  expect(existsSync(`${pwned}`)).toBe(false);
});

test('another command is refused and nothing of it runs', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();

  const ran = await cli.run('ssh', ...withKey(sshd), server(sshd), 'touch', join(cli.home.dir, 'ran'));

  expect(ran.code).toBe(255);
  expect(ran.stderr).toContain('Cannot run touch on the server');
  expect(sshd.logins).toBe(0);
});

test('-W is a clean pipe: bytes and half-close both ways, as ssh has it', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using target = await TcpTarget.start((socket) => {
    const read = transcript(socket);
    void read.then(({ text, end }) => socket.end(`${end}:${text.length}:${text.slice(-3)}`)); // answers after the end
  });
  const big = 'x'.repeat(300_000);
  const args = [...withKey(sshd), '-W', `127.0.0.1:${target.port}`, server(sshd)];

  const { ours, theirs } = await both(cli, args, `${big}end`);

  expect(ours).toEqual({ code: 0, stdout: 'FIN:300003:end', stderr: '' });
  expect(theirs).toMatchObject({ code: 0, stdout: ours.stdout });
});

test('-W to a port where nobody listens ends with 255 and the words of ssh', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();

  const { ours, theirs } = await both(cli, [...withKey(sshd), '-W', `127.0.0.1:${await freePort()}`, server(sshd)]);

  expect(ours).toEqual({ ...theirs, stderr: theirs.stderr.replaceAll('\r', '') });
});

test('-L and LocalForward of ssh_config lead to the target; a lost connection ends with 255', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using target = await TcpTarget.start(echo);
  const [flag, config] = [await freePort(), await freePort()];
  const to = `127.0.0.1:${target.port}`;
  await using held = hold(
    cli,
    ...withKey(sshd),
    ...['-vnNT', '-L', `127.0.0.1:${flag}:${to}`, '-o', `LocalForward=127.0.0.1:${config} ${to}`, server(sshd)],
  );

  expect([await said(flag, 'one'), await said(config, 'two')]).toEqual(['one', 'two']);

  const exited = once(held.child, 'exit');
  await sshd.killSessions();
  expect(await exited).toEqual([255, null]);
});

test('-D leads clients where they ask', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using target = await TcpTarget.start(echo);
  const port = await freePort();
  await using _held = hold(cli, ...withKey(sshd), '-ND', `127.0.0.1:${port}`, server(sshd));

  const socks4 = Buffer.from([4, 1, target.port >> 8, target.port & 255, 127, 0, 0, 1, 0]);
  const socket = await eventually(() => client(port), { withinMs: 10_000 });
  const read = transcript(socket);
  socket.write(socks4);
  await once(socket, 'data');
  socket.end('hello');

  expect((await read).text.slice(8)).toBe('hello');
});

test('-R has the server listen before -f returns; a port that is taken there ends it as it ends ssh', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using target = await TcpTarget.start(echo);
  const port = await freePort();
  const to = `127.0.0.1:${target.port}`;
  const control = ['-F', 'none', '-S', join(cli.home.dir, 'ctl')];

  const started = await cli.run(
    ...['ssh', ...withKey(sshd), '-fNM', '-S', join(cli.home.dir, 'ctl')],
    ...['-R', `127.0.0.1:${port}:${to}`, server(sshd)],
  );
  const answer = await said(port, 'hello');
  const chosen = await cli.run('ssh', ...control, '-O', 'forward', '-R', `127.0.0.1:0:${to}`, 'host');
  const second = await said(Number(chosen.stdout), 'again');
  const taken = ['-N', '-o', 'ExitOnForwardFailure=yes', '-R', `127.0.0.1:${port}:${to}`];
  const { ours, theirs } = await both(cli, [...withKey(sshd), ...taken, server(sshd)]);
  await cli.run('ssh', ...control, '-O', 'exit', 'host');

  expect([started.code, answer, chosen.code, second]).toEqual([0, 'hello', 0, 'again']);
  expect([ours.code, ours.stderr]).toEqual([theirs.code, theirs.stderr.replaceAll('\r', '')]);
});

test('-L and -R lead between ports and unix sockets, every way round', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using target = await TcpTarget.start(echo);
  const socket = (name: string): string => join(cli.home.dir, name);
  const echoing = createServer({ allowHalfOpen: true }, (client) => void client.pipe(client));
  echoing.listen(socket('echo'));
  await once(echoing, 'listening');
  const [there, here] = [await freePort(), await freePort()];
  const tcp = `127.0.0.1:${target.port}`;

  const started = await cli.run(
    ...['ssh', ...withKey(sshd), '-fNMS', socket('ctl'), '-o', 'ExitOnForwardFailure=yes'],
    ...['-L', `${socket('l1')}:${tcp}`, '-L', `${socket('l2')}:${socket('echo')}`, '-L', `${here}:${socket('echo')}`],
    ...['-R', `${socket('r1')}:${tcp}`, '-R', `${socket('r2')}:${socket('echo')}`, '-R', `${there}:${socket('echo')}`],
    server(sshd),
  );
  const ways = [socket('l1'), socket('l2'), here, socket('r1'), socket('r2'), there];
  const answers = await Promise.all(ways.map((way) => said(way, 'hello')));
  await cli.run('ssh', '-F', 'none', '-S', socket('ctl'), '-O', 'exit', 'host');
  echoing.close();

  expect([started.code, started.stderr]).toEqual([0, '']);
  expect(answers).toEqual(ways.map(() => 'hello'));
});

test('PermitRemoteOpen bounds where a SOCKS proxy on the server leads, one that -O adds too', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using open = await TcpTarget.start(echo);
  let strangers = 0;
  await using closed = await TcpTarget.start((socket) => {
    strangers++;
    echo(socket);
  });
  const [first, second] = [await freePort(), await freePort()];
  const ctl = join(cli.home.dir, 'ctl');

  const started = await cli.run(
    ...['ssh', ...withKey(sshd), '-fNMS', ctl, '-o', `PermitRemoteOpen=web:80 127.0.0.1:${open.port}`],
    ...['-R', `127.0.0.1:${first}`, server(sshd)],
  );
  await cli.run('ssh', '-F', 'none', '-S', ctl, '-O', 'forward', '-R', `127.0.0.1:${second}`, 'host');
  const replies: number[] = [];
  for (const proxy of [first, second])
    for (const target of [open, closed]) replies.push(await socksReply(proxy, target.port));
  await cli.run('ssh', '-F', 'none', '-S', ctl, '-O', 'exit', 'host');

  expect(started.code).toBe(0);
  expect(replies).toEqual([GRANTED, PROHIBITED, GRANTED, PROHIBITED]);
  expect(strangers).toBe(0);
});

test('with ControlPersist a master goes to the background by itself, and leaves once it was unused for so long', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using target = await TcpTarget.start(echo);
  const port = await freePort();
  const ctl = join(cli.home.dir, 'ctl');
  const forward = ['-L', `127.0.0.1:${port}:127.0.0.1:${target.port}`, server(sshd)];

  const starting = cli.run('ssh', ...withKey(sshd), '-NM', '-S', ctl, '-o', 'ControlPersist=4', ...forward);
  const using = await eventually(() => client(port), { withinMs: 10_000 }); // from the first moment on: unused it would go
  const started = await starting;
  const answer = transcript(using);
  using.end('hello');

  expect([started, (await answer).text]).toEqual([{ code: 0, stdout: '', stderr: '' }, 'hello']);
  await eventually(() => !existsSync(ctl), { withinMs: 15_000, what: 'the master to leave' });
});

test('a busy port is told in the words of ssh, and ends it where ExitOnForwardFailure says so', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using busy = await TcpTarget.start(echo);
  const forward = ['-NL', `127.0.0.1:${busy.port}:127.0.0.1:1`, '-o', 'ExitOnForwardFailure=yes'];

  const { ours, theirs } = await both(cli, [...withKey(sshd), ...forward, server(sshd)]);

  expect([ours.code, ours.stderr]).toEqual([theirs.code, theirs.stderr.replaceAll('\r', '')]);
  expect(ours.stderr).toContain(`bind [127.0.0.1]:${busy.port}: Address already in use`);
});

test('-f returns once it listens; its master answers us and ssh, takes forwards, and goes when asked', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using target = await TcpTarget.start(echo);
  const [first, second] = [await freePort(), await freePort()];
  const control = ['-F', 'none', '-S', join(cli.home.dir, 'ctl')];
  const to = `127.0.0.1:${target.port}`;
  const log = join(cli.home.dir, 'log');

  const started = await cli.run(
    ...['ssh', ...withKey(sshd), '-fNMS', join(cli.home.dir, 'ctl'), '-vE', log],
    ...['-L', `127.0.0.1:${first}:${to}`, server(sshd)],
  );
  const socket = await client(first);
  socket.destroy();
  const checked = await both(cli, [...control, '-O', 'check', 'host']);
  const added = await cli.run('ssh', ...control, '-O', 'forward', '-L', `127.0.0.1:${second}:${to}`, 'host');
  const answer = await said(second, 'hello');
  const cancelled = await ssh(cli, '', ...control, '-O', 'cancel', '-L', `127.0.0.1:${second}:${to}`, 'host');
  const gone = await client(second).then(
    () => 'there',
    () => 'gone',
  );
  const left = await cli.run('ssh', ...control, '-O', 'exit', 'host');
  const after = await eventually(
    async () => {
      const ran = await cli.run('ssh', ...control, '-O', 'check', 'host');
      if (ran.code === 0) throw new Error('the master is still there');
      return ran;
    },
    { withinMs: 10_000 },
  );

  expect(started).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(checked.ours).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^Master running \(pid=\d+\)\n$/) as string,
  });
  expect(checked.theirs.stderr.trim()).toBe(checked.ours.stderr.trim());
  expect([added.code, answer, cancelled.code, gone]).toEqual([0, 'hello', 0, 'gone']);
  expect(left).toEqual({ code: 0, stdout: '', stderr: 'Exit request sent.\n' });
  expect(after.code).toBe(255);
  expect(await readFile(log, 'utf8')).toContain('Authenticated to');
});

test('-f that cannot log in returns 255 with the reason', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();

  const ran = await cli.run('ssh', ...options(sshd, join(cli.home.dir, 'none')), '-fN', '-L', '0:a:1', server(sshd));

  expect([ran.code, lastWords(ran)]).toEqual([255, 'Host key verification failed.']);
});

test('--save keeps the line as a profile', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  const port = await freePort();

  const line = [...withKey(sshd), '-NL', `127.0.0.1:${port}:127.0.0.1:9`, '--save', 'kept', server(sshd)];
  await using _held = hold(cli, ...line);
  const shown = await eventually(() => cli.ok('show', 'kept'), { withinMs: 10_000 });
  const again = await cli.run('ssh', ...line);

  expect(shown.stdout).toContain(`127.0.0.1:${port} -> 127.0.0.1:9`);
  expect(again).toMatchObject({ code: 255, stderr: expect.stringContaining('there is one of that name') as string });
});

test('-G prints what counts', async () => {
  await using cli = await tunnelCli();

  const { ours, theirs } = await both(cli, ['-F', 'none', '-G', '-p', '2222', 'alice@host.example.org']);

  expect(ours).toMatchObject({ code: 0, stderr: '' });
  const lines = ({ stdout }: Ran): Set<string> => new Set(stdout.toLowerCase().trim().split('\n'));
  expect(lines(ours)).toEqual(lines(theirs));
});
