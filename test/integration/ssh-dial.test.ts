import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { appendFile, copyFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../src/model/secret.ts';
import { createDial } from '../../src/ssh/dial.ts';
import { eventually } from '../support/eventually.ts';
import { aDial, ALWAYS, aRequest, failureOf, listenTo, NOBODY, sshdHop } from '../support/ssh-dial.ts';
import { fingerprintOf, freePort, makeKey, startSshd, type TestSshd } from '../support/sshd.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

const run = promisify(execFile);
let sshd: TestSshd;
let home: TempHome;
beforeAll(async () => {
  sshd = await startSshd({ hostKeyTypes: ['ed25519', 'rsa', 'ecdsa'], config: ['Banner /nonexistent'] });
  home = await tempHome();
});
afterAll(async () => {
  await sshd.stop();
  await home.remove();
});

/** A key pair that the server lets in. */
async function admittedKey(name: string, type: 'ed25519' | 'ecdsa' | 'rsa', passphrase = ''): Promise<string> {
  const file = join(home.dir, name);
  await makeKey(file, type, passphrase);
  await appendFile(sshd.authorizedKeysFile, await readFile(`${file}.pub`));
  return file;
}
const identity = (file: string) => ({ identities: [{ file, explicit: true }] });

/** A raw TCP server in this process. */
async function tcpServer(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe('a connection', () => {
  test('through three hops answers, counts bytes and says what was negotiated', async () => {
    const progress: string[] = [];
    const onProgress = (one: string): void => void progress.push(one);
    const { request, phases } = aRequest([sshdHop(sshd), sshdHop(sshd), sshdHop(sshd)], {}, { onProgress });
    const transport = await aDial()(request);
    onTestFinished(() => transport.close());

    const before = transport.receivedBytes;
    expect(await transport.ping()).toBeGreaterThan(0);
    expect(transport.receivedBytes).toBeGreaterThan(before);
    expect(phases).toEqual(['connecting', 'authenticating']);
    expect(progress).toEqual(['resolved', 'reached', 'identified', 'exchanged']); // of the first hop alone
    expect(transport.facts).toMatchObject({
      kex: 'curve25519-sha256',
      hostKey: 'ssh-ed25519',
      cipher: 'aes128-gcm@openssh.com',
      mac: 'implicit',
      compression: 'none',
    });
    expect(transport.facts.serverVersion).toMatch(/^OpenSSH_/);
  });

  test('runs over a ProxyCommand, whose stderr is told and which ends with it', async () => {
    const pidFile = join(home.dir, 'proxy.pid');
    const program = [
      'process.stderr.write("hello \\u001b[31m\\n")',
      `require("fs").writeFileSync("${pidFile}", String(process.pid))`,
      `const s = require("net").connect(${sshd.port}, "127.0.0.1")`,
      'process.stdin.pipe(s).pipe(process.stdout)',
    ];
    const proxyCommand = `${process.execPath} -e '${program.join('; ')}'`;
    const { request, notes } = aRequest([sshdHop(sshd, { proxyCommand, label: 'behind' }), sshdHop(sshd)]);

    const transport = await aDial()(request);
    expect(transport.receivedBytes).toBeGreaterThan(1_000);
    expect(notes).toEqual([`proxyCommand of behind (127.0.0.1:${sshd.port}): hello \\u001b[31m`]);

    const pid = Number(await readFile(pidFile, 'utf8'));
    transport.close();
    await eventually(() => !alive(pid), { what: 'the end of the command' });
  });

  test('a ProxyCommand that fails is named as the reason', async () => {
    const hop = sshdHop(sshd, { proxyCommand: 'sh -c "exit 3"', label: 'behind' });
    const failure = await failureOf(aDial()(aRequest([hop]).request));
    expect([failure.code, failure.message]).toEqual([
      'CONNECT_REFUSED',
      `Cannot connect to behind (127.0.0.1:${sshd.port}): its proxyCommand gave no connection: it ended with status 3`,
    ]);
  });

  test('ends with one reason for all when the server ends it', async () => {
    const transport = await aDial()(aRequest([sshdHop(sshd), sshdHop(sshd)]).request);
    const closed = new Promise((resolve) => transport.onClosed(resolve));
    await sshd.killSessions();
    expect(await closed).toMatchObject({ code: 'CONNECTION_LOST' });
    await expect(transport.ping()).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    const open = transport.openDirect({ kind: 'tcp', host: 'localhost', port: 1 }, NOBODY, ALWAYS);
    await expect(open).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
  });

  test('that is closed says goodbye and reports it as stopped, once, also to late listeners', async () => {
    const transport = await aDial()(aRequest([sshdHop(sshd)]).request);
    const reasons: string[] = [];
    const closed = new Promise<void>((resolve) =>
      transport.onClosed((reason) => {
        reasons.push(reason.code);
        resolve();
      }),
    );
    transport.close();
    transport.close();
    await closed;
    transport.onClosed((reason) => reasons.push(reason.code));
    expect(reasons).toEqual(['STOPPED', 'STOPPED']);
    await eventually(() => sshd.log.includes('Received disconnect from'));
  });
});

describe('a dial that fails', () => {
  test('names a closed port, and the address that was tried', async () => {
    const port = await freePort();
    const failure = await failureOf(aDial()(aRequest([sshdHop(sshd, { port, label: 'mail' })]).request));
    expect([failure.code, failure.message]).toEqual([
      'CONNECT_REFUSED',
      `Cannot connect to mail (127.0.0.1:${port}): connection refused (127.0.0.1 port ${port})`,
    ]);
  });

  // A DNS that does not answer is asked several times, for 5 s each.
  test('names a host without an address', { timeout: 60_000 }, async () => {
    const hop = sshdHop(sshd, { host: 'nowhere.invalid', label: 'mail' });
    const timeouts = { connectMs: 50_000, loginMs: 5_000, channelMs: 5_000 };
    const failure = await failureOf(aDial()(aRequest([hop], {}, { timeouts }).request));
    expect(failure.code).toBe('NAME_UNRESOLVED');
  });

  test('names the hop that the jump host does not reach, in the words of OpenSSH', async () => {
    const port = await freePort();
    const inner = sshdHop(sshd, { port, label: 'inner' });
    const failure = await failureOf(aDial()(aRequest([sshdHop(sshd), inner]).request));
    expect([failure.code, failure.message]).toEqual([
      'CONNECT_REFUSED',
      `Cannot connect to inner (127.0.0.1:${port}) through ${sshd.address}: connect failed: Connection refused`,
    ]);
  });

  test.each([
    ['+OK POP3 ready\r\n', 'NOT_SSH', /no SSH server answers there, but: \+OK POP3 ready/],
    ['HTTP/1.1 400 Bad Request\r\n\r\n', 'NOT_SSH', /HTTP\/1\.1 400/],
    ['\u001b]0;owned\u0007\r\n', 'NOT_SSH', /\\u001b\]0;owned\\u0007/],
    ['Exceeded MaxStartups\r\n', 'HANDSHAKE_FAILED', /Exceeded MaxStartups/],
    ['', 'HANDSHAKE_FAILED', /closed the connection without a word/],
    ['SSH-2.0-x\r\n', 'HANDSHAKE_FAILED', /closed the connection during the key exchange/],
    ['SSH-2.0-x\r\n\0\0\0\x0c\x0a\x01garbage!!!!', 'HANDSHAKE_FAILED', /SSH protocol was broken/],
  ])('settles when %j is all that answers', async (greeting, code, words) => {
    const port = await tcpServer((socket) => socket.end(greeting, 'latin1'));
    const failure = await failureOf(aDial()(aRequest([sshdHop(sshd, { port })]).request));
    expect([failure.code, failure.message]).toEqual([code, expect.stringMatching(words)]);
  });

  test('has a limit for a server that never says a word, and leaves no socket behind', async () => {
    let closed = false;
    const port = await tcpServer((socket) => socket.resume().on('close', () => (closed = true)));
    // It is connected long before, on a busy machine too.
    const timeouts = { connectMs: 4_000, loginMs: 4_000, channelMs: 4_000 };
    const failure = await failureOf(aDial()(aRequest([sshdHop(sshd, { port })], {}, { timeouts }).request));
    expect([failure.code, failure.message]).toEqual([
      'CONNECT_TIMEOUT',
      expect.stringContaining('it did not say who it is within 4 s'),
    ]);
    await eventually(() => closed);
  });

  test('stops at once when it is called off, with the reason of whoever did', async () => {
    let closed = false;
    const port = await tcpServer((socket) => socket.resume().on('close', () => (closed = true)));
    const { request, abort } = aRequest([sshdHop(sshd, { port })]);
    const dialled = aDial()(request);
    await eventually(async () => (await connectionsTo(port)) > 0);
    abort.abort();
    expect(await failureOf(dialled)).toMatchObject({ code: 'STOPPED' });
    await eventually(() => closed);
  });

  test('over algorithms says which kind has none in common', async () => {
    const failure = await failureOf(aDial()(aRequest([sshdHop(sshd, { ciphers: ['3des-cbc'] })]).request));
    expect([failure.code, failure.message]).toEqual([
      'NO_COMMON_ALGORITHM',
      expect.stringContaining('no cipher algorithm'),
    ]);
  });
});

describe('the host key', () => {
  /** By the log of a server that nobody else uses, to the end of the connection: a server writes it in its own time. */
  async function triedNoLogin(own: TestSshd): Promise<void> {
    await eventually(() => /\[preauth\]$/m.test(own.log), { what: 'the end of the connection in the log' });
    expect(own.log).not.toMatch(/Accepted|Failed|userauth/);
  }

  test('that is unknown is refused without a person, with its fingerprint and no login attempt', async () => {
    await using own = await startSshd();
    const failure = await failureOf(
      aDial()(aRequest([sshdHop(own, { knownHosts: [join(home.dir, 'none')] })]).request),
    );
    expect([failure.code, failure.message]).toEqual([
      'HOST_KEY_UNKNOWN',
      expect.stringMatching(/ED25519 host key is unknown \(SHA256:/),
    ]);
    await triedNoLogin(own);
  });

  test('that a person accepts is recorded, and asked about no more', async () => {
    const file = join(home.dir, 'learned');
    const hop = sshdHop(sshd, { knownHosts: [file] });
    const first = aRequest([hop], { 'host-key': ['yes'] });
    (await aDial()(first.request)).close();
    await eventually(() => first.notes.some((note) => note.startsWith('Recorded the host key')));

    const second = aRequest([hop]);
    (await aDial()(second.request)).close();

    expect(first.questions.map((question) => [question.kind, question.subject])).toEqual([
      ['host-key', `[127.0.0.1]:${sshd.port}`],
    ]);
    expect(first.questions[0]?.detail).toMatch(/ED25519 key fingerprint is SHA256:/);
    expect(second.questions).toEqual([]);
  });

  test('that a person does not accept is refused', async () => {
    const { request } = aRequest([sshdHop(sshd, { knownHosts: [join(home.dir, 'none')] })], { 'host-key': ['no'] });
    expect(await failureOf(aDial()(request))).toMatchObject({ code: 'HOST_KEY_UNKNOWN' });
  });

  test('under accept-new is recorded without a question', async () => {
    const file = join(home.dir, 'accepted');
    const { request, questions } = aRequest([sshdHop(sshd, { knownHosts: [file], hostKey: { kind: 'accept-new' } })]);
    (await aDial()(request)).close();
    await eventually(async () => (await readFile(file, 'utf8')).startsWith(`[127.0.0.1]:${sshd.port} ssh-ed25519 `));
    expect(questions).toEqual([]);
  });

  test('of which only the last type is known is no stranger: that type is asked for', async () => {
    const file = join(home.dir, 'ecdsa-only');
    const text = await readFile(sshd.knownHostsFile, 'utf8');
    await writeFile(
      file,
      text
        .split('\n')
        .filter((line) => line.includes('ecdsa'))
        .join('\n'),
    );
    const transport = await aDial()(aRequest([sshdHop(sshd, { knownHosts: [file] })]).request);
    onTestFinished(() => transport.close());
    expect(transport.facts.hostKey).toBe('ecdsa-sha2-nistp256');
  });

  test('that changed is refused with both fingerprints, the line and the remedy, and no login attempt', async () => {
    await using own = await startSshd();
    const file = join(home.dir, 'changed');
    const other = join(home.dir, 'other-host');
    await makeKey(other, 'ed25519');
    const key = (await readFile(`${other}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ');
    await writeFile(file, `# first line\n[127.0.0.1]:${own.port} ${key}\n`);
    const fingerprints = await Promise.all([other, join(own.dir, 'host_ed25519')].map(fingerprintOf));

    const { request, questions } = aRequest([sshdHop(own, { knownHosts: [file] })], { 'host-key': ['yes'] });
    const failure = await failureOf(aDial()(request));

    expect(failure.code).toBe('HOST_KEY_CHANGED');
    for (const part of [...fingerprints, `${file}:2`]) expect(failure.message).toContain(part);
    expect(failure.hint).toContain(`ssh-keygen -f ${file} -R '[127.0.0.1]:${own.port}'`);
    expect(questions).toEqual([]);
    await triedNoLogin(own);
  });

  test('that is revoked is refused even where another line knows it', async () => {
    const file = join(home.dir, 'revoked');
    const text = await readFile(sshd.knownHostsFile, 'utf8');
    const revoked = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => `@revoked ${line}`);
    await writeFile(file, [text, ...revoked].join('\n'));
    expect(await failureOf(aDial()(aRequest([sshdHop(sshd, { knownHosts: [file] })]).request))).toMatchObject({
      code: 'HOST_KEY_REVOKED',
    });
  });

  test('is taken by a pinned fingerprint and refused by another one', async () => {
    const own = await fingerprintOf(join(sshd.dir, 'host_ed25519'));
    const pinned = (fingerprint: string) =>
      sshdHop(sshd, { knownHosts: [], hostKey: { kind: 'fingerprint', fingerprints: [fingerprint] } });
    (await aDial()(aRequest([pinned(own)]).request)).close();
    expect(await failureOf(aDial()(aRequest([pinned('SHA256:AAAA')]).request))).toMatchObject({
      code: 'HOST_KEY_CHANGED',
    });
  });

  test('in a file that cannot be read refuses: unreadable is not unknown', async () => {
    const { request } = aRequest([sshdHop(sshd, { knownHosts: [home.dir] })], { 'host-key': ['yes'] });
    expect(await failureOf(aDial()(request))).toMatchObject({ code: 'FILE' });
  });
});

// What turns a passphrase into a key is made to take its time, and takes seconds on a busy machine.
describe('logging in with keys', { timeout: 30_000 }, () => {
  test.each(['ed25519', 'ecdsa', 'rsa'] as const)('an %s key file does', async (type) => {
    const file = await admittedKey(`plain_${type}`, type);
    (await aDial()(aRequest([sshdHop(sshd, identity(file))]).request)).close();
  });

  test.each([
    ['PKCS8', 'pkcs8'],
    ['PEM', 'pem'],
  ])('an encrypted %s key with a .pub neighbour does', async (format, name) => {
    const file = await admittedKey(name, 'rsa');
    await run('ssh-keygen', ['-p', '-q', '-N', 'geheim', '-m', format, '-f', file]);
    const { request, questions } = aRequest([sshdHop(sshd, identity(file))], { passphrase: ['geheim'] });
    (await aDial()(request)).close();
    expect(questions.map((question) => question.prompt)).toEqual([`Passphrase for ${file}:`]);
  });

  test('an encrypted key is asked for once it is wanted, off the event loop, and not again on a reconnect', async () => {
    const file = await admittedKey('locked', 'ed25519', 'geheim');
    const dial = aDial();
    const first = aRequest([sshdHop(sshd, identity(file))], { passphrase: ['falsch', 'geheim'] });
    const turns = watchEventLoop();
    (await dial(first.request)).close();
    const longestMs = turns();
    const second = aRequest([sshdHop(sshd, identity(file))]);
    (await dial(second.request)).close();

    expect(first.questions.map(({ kind, subject, detail }) => [kind, subject, detail])).toEqual([
      ['passphrase', file, `${sshd.address} accepts this key.`],
      ['passphrase', file, 'That passphrase was wrong.'],
    ]);
    expect(second.questions).toEqual([]);
    expect(longestMs).toBeLessThan(150); // bcrypt alone takes more, on the event loop
  });

  test('an encrypted key that the server does not want is never asked for', async () => {
    const file = join(home.dir, 'unwanted');
    await makeKey(file, 'ed25519', 'geheim');
    const { request, questions } = aRequest([sshdHop(sshd, identity(file))], { passphrase: ['geheim'] });
    expect(await failureOf(aDial()(request))).toMatchObject({ code: 'LOGIN_REFUSED' });
    expect(questions).toEqual([]);
  });

  test('a wanted key whose passphrase nobody can give needs a person', async () => {
    const file = await admittedKey('nobody', 'ed25519', 'geheim');
    expect(await failureOf(aDial()(aRequest([sshdHop(sshd, identity(file))]).request))).toMatchObject({
      code: 'NEEDS_PERSON',
    });
  });

  test('a stored passphrase asks nobody', async () => {
    const file = await admittedKey('stored', 'ed25519', 'geheim');
    const asked: unknown[] = [];
    const dial = createDial({
      readSecret: (name, source) => {
        asked.push([name, source.kind]);
        return Promise.resolve(new Secret('geheim'));
      },
    });
    const { request, questions } = aRequest([sshdHop(sshd, identity(file))]);
    (await dial(request)).close();
    expect(asked).toEqual([[{ kind: 'passphrase', subject: file }, 'prompt']]);
    expect(questions).toEqual([]);
  });

  test('a person has time: no deadline runs while the passphrase is typed', async () => {
    const file = await admittedKey('slow', 'ed25519', 'geheim');
    await run('ssh-keygen', ['-p', '-q', '-a', '1', '-P', 'geheim', '-N', 'geheim', '-f', file]); // read at once
    const { request } = aRequest(
      [sshdHop(sshd, identity(file))],
      {},
      {
        // What is not the person's time is far less, on a busy machine too.
        timeouts: { connectMs: 5_000, loginMs: 4_000, channelMs: 1_000 },
        ask: () => new Promise((resolve) => setTimeout(() => resolve(new Secret('geheim')), 4_100)),
      },
    );
    (await aDial()(request)).close();
  });

  test('a certificate beside the key does, in the file and by CertificateFile', async () => {
    const ca = join(home.dir, 'ca');
    await makeKey(ca, 'ed25519');
    await appendFile(sshd.authorizedKeysFile, `cert-authority ${await readFile(`${ca}.pub`, 'utf8')}`);
    for (const type of ['ed25519', 'rsa', 'ecdsa'] as const) {
      const file = join(home.dir, `certified_${type}`);
      await makeKey(file, type);
      await run('ssh-keygen', ['-q', '-s', ca, '-I', `id-${type}`, '-n', sshd.user, `${file}.pub`]);
      (await aDial()(aRequest([sshdHop(sshd, identity(file))]).request)).close();
      await rename(`${file}-cert.pub`, `${file}.elsewhere`);
      const hop = sshdHop(sshd, { ...identity(file), certificates: [`${file}.elsewhere`] });
      (await aDial()(aRequest([hop]).request)).close();
      await eventually(() => sshd.log.match(new RegExp(`ID id-${type} `, 'g'))?.length === 2);
    }
  });

  test('a refused login is one connection, and names what was tried and what the server takes', async () => {
    const file = join(home.dir, 'stranger');
    await makeKey(file, 'ed25519');
    const before = sshd.connections;
    const hop = sshdHop(sshd, { ...identity(file), auth: ['publickey', 'password'] });
    const failure = await failureOf(aDial()(aRequest([hop]).request));
    expect([failure.code, failure.message]).toEqual([
      'LOGIN_REFUSED',
      `Cannot log in to ${sshd.address} as ${sshd.user}: permission denied; tried publickey with 1 key, the server offers publickey, keyboard-interactive`,
    ]);
    expect(sshd.connections - before).toBe(1);
  });

  test('seven wrong keys do not make the server end it: they stop short of MaxAuthTries', async () => {
    const files = await Promise.all(
      Array.from({ length: 7 }, async (_, index) => {
        const file = join(home.dir, `wrong${index}`);
        await makeKey(file, 'ed25519');
        return { file, explicit: true };
      }),
    );
    const logStart = sshd.log.length;
    const { request, notes } = aRequest([sshdHop(sshd, { identities: files })]);
    expect(await failureOf(aDial()(request))).toMatchObject({ code: 'LOGIN_REFUSED' });
    expect(notes).toEqual([expect.stringContaining('3 more keys were not offered')]);
    expect(sshd.log.slice(logStart)).not.toContain('Too many authentication failures');
  });

  test('unusable keys are noted with their remedy, and the good one is still tried', async () => {
    const putty = join(home.dir, 'putty.ppk');
    await writeFile(putty, 'PuTTY-User-Key-File-3: ssh-ed25519\n', { mode: 0o600 });
    const open = join(home.dir, 'open');
    await copyFile(sshd.identityFile, open);
    await run('chmod', ['644', open]);
    const missing = join(home.dir, 'missing');
    const identities = [putty, open, missing, sshd.identityFile].map((file) => ({ file, explicit: true }));

    const { request, notes } = aRequest([sshdHop(sshd, { identities })]);
    (await aDial()(request)).close();

    expect(notes).toEqual([
      expect.stringMatching(/putty\.ppk: it has the format of PuTTY\. Convert it with `puttygen/),
      expect.stringMatching(/open: others can read it\. Close it with `chmod 600/),
      `Cannot use the key ${missing}: there is no such file`,
    ]);
  });
});

describe('the agent', () => {
  let socket: string;
  let agent: ReturnType<typeof spawn>;
  beforeAll(async () => {
    socket = join(home.dir, 'agent.sock');
    agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    await eventually(async () => (await run('ssh-add', ['-l'], { env: agentEnv() }).catch(exitCode)) === 1);
  });
  afterAll(() => agent.kill());
  const agentEnv = () => ({ PATH: process.env['PATH'], SSH_AUTH_SOCK: socket });
  const add = async (file: string) => {
    await run('chmod', ['600', file]);
    await run('ssh-add', ['-q', file], { env: agentEnv() });
    onTestFinished(async () => {
      await run('ssh-add', ['-q', '-D'], { env: agentEnv() });
    });
  };

  test.each(['ed25519', 'ecdsa', 'rsa'] as const)('signs with an %s key, found by SSH_AUTH_SOCK', async (type) => {
    const file = await admittedKey(`agent_${type}`, type);
    await add(file);
    await rm(file);
    const hop = sshdHop(sshd, { identities: [], agent: 'environment' });
    (await aDial()(aRequest([hop], {}, { agentSocket: socket }).request)).close();
  });

  test('offers first the key that the profile names, also by its .pub alone, and only that with IdentitiesOnly', async () => {
    const named = await admittedKey('agent_named', 'ed25519');
    const others = [1, 2, 3].map((index) => join(home.dir, `agent_other${index}`));
    for (const other of others) {
      await makeKey(other, 'ed25519');
      await add(other);
    }
    await add(named);
    const hop = sshdHop(sshd, { ...identity(`${named}.pub`), agent: socket, identitiesOnly: true });
    const used = await fingerprintOf(named);
    (await aDial()(aRequest([hop]).request)).close();
    await eventually(() => sshd.accepted(used), { what: 'the login in the log' });
    for (const other of others) expect(sshd.log).not.toContain(await fingerprintOf(other));
  });

  test('lends its signature to a certificate file', async () => {
    const ca = join(home.dir, 'agent_ca');
    const file = join(home.dir, 'agent_certified');
    await Promise.all([makeKey(ca, 'ed25519'), makeKey(file, 'ed25519')]);
    await appendFile(sshd.authorizedKeysFile, `cert-authority ${await readFile(`${ca}.pub`, 'utf8')}`);
    await add(file);
    await run('ssh-keygen', ['-q', '-s', ca, '-I', 'by-agent', '-n', sshd.user, `${file}.pub`]);
    const hop = sshdHop(sshd, { identities: [], certificates: [`${file}-cert.pub`], agent: socket });
    (await aDial()(aRequest([hop]).request)).close();
    await eventually(() => sshd.log.includes('ID by-agent'));
  });

  test('that is missing is noted, and the key file does', async () => {
    const { request, notes } = aRequest([sshdHop(sshd, { agent: join(home.dir, 'no.sock') })]);
    (await aDial()(request)).close();
    expect(notes).toEqual(['No keys from the SSH agent: the agent cannot be reached']);
  });
});

test('a connection opened for a target through compression survives its loss: nothing throws', async () => {
  const own = await startSshd();
  onTestFinished(() => own.stop());
  const echo = await tcpServer((socket) => socket.pipe(socket));
  const transport = await aDial()(aRequest([sshdHop(own, { compression: true })]).request);
  expect(transport.facts.compression).toBe('zlib@openssh.com');
  const channel = await transport.openDirect({ kind: 'tcp', host: '127.0.0.1', port: echo }, NOBODY, ALWAYS);
  const heard = listenTo(channel);
  channel.write(Buffer.from('hello'));
  await eventually(() => heard.text() === 'hello');

  await own.kill();
  for (let round = 0; round < 50; round++) {
    channel.write(Buffer.alloc(1000));
    await new Promise((resolve) => setImmediate(resolve));
  }
  channel.end();
  expect(await heard.closed).toMatchObject({ code: 'CONNECTION_LOST' });
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // ESRCH: it is gone
  }
}

function exitCode(error: unknown): number {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : -1;
}

/** How many connections this process has to that port: by trying, since the server side tells. */
async function connectionsTo(port: number): Promise<number> {
  const { stdout } = await run('sh', [
    '-c',
    `grep -ci ':${port.toString(16).padStart(4, '0')} .* 01 ' /proc/net/tcp || true`,
  ]);
  return Number(stdout);
}

/** @returns a function that ends the watch and tells the longest time, in ms, that the event loop computed and nothing else could run */
function watchEventLoop(): () => number {
  let last = computedMs();
  let longest = 0;
  const timer = setInterval(() => {
    longest = Math.max(longest, computedMs() - last);
    last = computedMs();
  }, 5);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

/** By the thread that runs the event loop: a machine that lets others run costs it nothing. */
function computedMs(): number {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
}
