import { spawn, execFile } from 'node:child_process';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ssh2, { type AuthContext } from 'ssh2';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { HopPlan } from '../../src/model/plan.ts';
import { Secret } from '../../src/model/secret.ts';
import { AgentClient } from '../../src/ssh/keys/agent.ts';
import { rawKey } from '../../src/ssh/keys/raw-key.ts';
import { createDial } from '../../src/ssh/dial.ts';
import { startDemoServer } from '../../src/ssh/demo-server.ts';
import { WireReader, wireString, wireUint32 } from '../../src/model/wire.ts';
import { eventually } from '../support/eventually.ts';
import { aDial, aHop, ALWAYS, aRequest, failureOf, listenTo, NOBODY, sshdHop } from '../support/ssh-dial.ts';
import { startScriptedServer, type ScriptedServer } from '../support/ssh-server.ts';
import { makeKey, startSshd } from '../support/sshd.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

const run = promisify(execFile);
let home: TempHome;
beforeAll(async () => {
  home = await tempHome();
});
afterAll(() => home.remove());

let files = 0;
/** A hop to the server whose key is known. */
async function knownHop(server: ScriptedServer, over: Partial<HopPlan> = {}): Promise<HopPlan> {
  const file = join(home.dir, `known_hosts_${files++}`);
  await writeFile(file, server.knownHosts);
  return aHop({ port: server.port, knownHosts: [file], ...over });
}

const byPassword =
  (password: string) =>
  (attempt: AuthContext): void => {
    if (attempt.method === 'password' && attempt.password === password) attempt.accept();
    else attempt.reject(['password']);
  };

/** Asks the rounds one after the other; each answer must be the expected one. */
function byKeyboard(rounds: readonly { readonly prompts: readonly string[]; readonly answers: readonly string[] }[]) {
  return (attempt: AuthContext): void => {
    if (attempt.method !== 'keyboard-interactive') return attempt.reject(['keyboard-interactive']);
    const ask = (index: number): void => {
      const round = rounds[index];
      if (round === undefined) return attempt.accept();
      const prompts = round.prompts.map((prompt) => ({ prompt, echo: false }));
      attempt.prompt(prompts, 'Two \u001b[5msteps', 'Read\nthis', (answers) => {
        const given: unknown = answers;
        if (JSON.stringify(given) === JSON.stringify(round.answers)) ask(index + 1);
        else attempt.reject(['keyboard-interactive']);
      });
    };
    ask(0);
  };
}

test('a typed password logs in, is asked for as ssh asks, and is remembered for the reconnect', async () => {
  await using server = await startScriptedServer({ authenticate: byPassword('geheim') });
  const hop = await knownHop(server);
  const dial = aDial();
  const first = aRequest([hop], { password: ['falsch', 'geheim'] });
  (await dial(first.request)).close();
  const second = aRequest([hop]);
  (await dial(second.request)).close();

  expect(first.questions.map(({ prompt, detail, echo, subject }) => [prompt, detail, echo, subject])).toEqual([
    ["tester@127.0.0.1's password:", '', false, `tester@127.0.0.1:${server.port}`],
    ["tester@127.0.0.1's password:", 'Permission denied, please try again.', false, `tester@127.0.0.1:${server.port}`],
  ]);
  expect(second.questions).toEqual([]);
  expect(server.attempts).toEqual(['password', 'password', 'password']);
});

test('a password that has changed meanwhile is forgotten, and a person is asked', async () => {
  let password = 'alt';
  await using server = await startScriptedServer({ authenticate: (attempt) => byPassword(password)(attempt) });
  const hop = await knownHop(server);
  const dial = aDial();
  (await dial(aRequest([hop], { password: ['alt'] }).request)).close();
  password = 'neu';
  expect(await failureOf(dial(aRequest([hop]).request))).toMatchObject({ code: 'NEEDS_PERSON' });
  const third = aRequest([hop], { password: ['neu'] });
  (await dial(third.request)).close();
  expect(server.attempts).toEqual(['password', 'password', 'password']);
});

test('a stored password that is refused is said, and then a person is asked', async () => {
  await using server = await startScriptedServer({ authenticate: byPassword('geheim') });
  const names: unknown[] = [];
  const dial = createDial({
    readSecret: (name) => {
      names.push(name);
      return Promise.resolve(new Secret('veraltet'));
    },
  });
  const { request, notes } = aRequest([await knownHop(server)], { password: ['geheim'] });
  (await dial(request)).close();
  expect(names).toEqual([{ kind: 'password', subject: `tester@127.0.0.1:${server.port}` }]);
  expect(notes).toEqual([expect.stringContaining('refused the stored password')]);
});

test('a refusal names the key file that is not there, and so does a question that nobody answers', async () => {
  await using server = await startScriptedServer({
    authenticate: (attempt) => attempt.reject(['publickey', 'keyboard-interactive']),
  });
  const missing = join(home.dir, 'nowhere');
  const told = `Cannot use the key ${missing}: there is no such file.`;
  const hop = await knownHop(server, { identities: [{ file: missing, explicit: true }] });

  const refused = await failureOf(aDial()(aRequest([hop]).request));
  await using asking = await startScriptedServer({
    authenticate: (attempt) => attempt.reject(['publickey', 'password']),
  });
  const unanswered = await failureOf(
    aDial()(aRequest([await knownHop(asking, { identities: hop.identities })]).request),
  );

  expect({ code: refused.code, hint: refused.hint }).toEqual({ code: 'LOGIN_REFUSED', hint: told });
  expect(unanswered).toMatchObject({ code: 'NEEDS_PERSON', hint: expect.stringContaining(told) as unknown });
});

test('a person who mistypes three times is refused, in one connection', async () => {
  await using server = await startScriptedServer({ authenticate: byPassword('geheim') });
  const { request } = aRequest([await knownHop(server)], { password: ['a', 'b', 'c', 'd'] });
  expect(await failureOf(aDial()(request))).toMatchObject({ code: 'LOGIN_REFUSED' });
  expect([server.attempts.length, server.connections.length]).toEqual([3, 1]);
});

test('a refusal carries what the server would still take, as the server says it', async () => {
  const offered: ('hostbased' | 'publickey')[] = ['hostbased', 'publickey']; // in an order that nobody sorts
  await using server = await startScriptedServer({ authenticate: (attempt) => attempt.reject(offered) });
  const refused = await failureOf(aDial()(aRequest([await knownHop(server)]).request));
  expect([refused.code, refused.cause]).toEqual([
    'LOGIN_REFUSED',
    expect.objectContaining({ name: 'LoginRefusal', user: 'tester', host: '127.0.0.1', methods: offered }),
  ]);

  await using asking = await startScriptedServer({ authenticate: byPassword('geheim') });
  const unanswered = await failureOf(aDial()(aRequest([await knownHop(asking)]).request));
  expect([unanswered.code, unanswered.cause]).toEqual([
    'NEEDS_PERSON',
    expect.objectContaining({ name: 'LoginRefusal', methods: ['password'] }),
  ]);
});

test('a password with nobody to type it needs a person, and is not guessed', async () => {
  await using server = await startScriptedServer({ authenticate: byPassword('geheim') });
  expect(await failureOf(aDial()(aRequest([await knownHop(server)]).request))).toMatchObject({ code: 'NEEDS_PERSON' });
  expect(server.attempts).toEqual([]);
});

test('several rounds of questions are shown cleaned and answered in order', async () => {
  const rounds = [
    { prompts: ['Password: '], answers: ['geheim'] },
    { prompts: ['Token\u0007 code: ', 'Colour: '], answers: ['123456', 'blau'] },
  ];
  await using server = await startScriptedServer({ authenticate: byKeyboard(rounds) });
  const { request, questions } = aRequest([await knownHop(server)], { password: ['geheim'], code: ['123456', 'blau'] });
  (await aDial()(request)).close();
  expect(questions.map(({ kind, prompt, detail }) => [kind, prompt, detail])).toEqual([
    // Of several tunnels that come up together nobody could tell which one asked for a "Password:"; OpenSSH says so too.
    ['password', '(tester@127.0.0.1) Password:', 'Two \\u001b[5msteps\nRead\nthis'],
    ['code', '(tester@127.0.0.1) Token\\u0007 code:', 'Two \\u001b[5msteps\nRead\nthis'],
    ['code', '(tester@127.0.0.1) Colour:', ''],
  ]);
});

test('a one-time code is never repeated: the reconnect asks anew, the password does not', async () => {
  let code = '111111';
  const rounds = () => [
    { prompts: ['Password: '], answers: ['geheim'] },
    { prompts: ['Verification code: '], answers: [code] },
  ];
  await using server = await startScriptedServer({ authenticate: (attempt) => byKeyboard(rounds())(attempt) });
  const hop = await knownHop(server);
  const dial = aDial();
  (await dial(aRequest([hop], { password: ['geheim'], code: ['111111'] }).request)).close();
  code = '222222';
  const second = aRequest([hop], { code: ['222222'] });
  (await dial(second.request)).close();
  expect(second.questions.map((question) => question.kind)).toEqual(['code']);
});

test('a server that asks without end is left', async () => {
  const endless = Array.from({ length: 30 }, () => ({ prompts: ['Again: '], answers: ['x'] }));
  await using server = await startScriptedServer({ authenticate: byKeyboard(endless) });
  const { request } = aRequest([await knownHop(server)], { code: Array.from({ length: 40 }, () => 'x') });
  const failure = await failureOf(aDial()(request));
  expect([failure.code, failure.message]).toEqual(['LOGIN_REFUSED', expect.stringContaining('too many questions')]);
});

test('a key and then a code: with an agent of many keys only the right one is offered before the code', async () => {
  const socket = join(home.dir, 'agent.sock');
  const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
  onTestFinished(() => void agent.kill());
  const env = { PATH: process.env['PATH'], SSH_AUTH_SOCK: socket };
  const wanted = join(home.dir, 'wanted');
  await makeKey(wanted, 'ed25519');
  await eventually(() => run('ssh-add', ['-q', wanted], { env }).then(() => true));
  for (const index of [1, 2, 3]) {
    await makeKey(join(home.dir, `surplus${index}`), 'ed25519');
    await run('ssh-add', ['-q', join(home.dir, `surplus${index}`)], { env });
  }
  const key = ssh2.utils.parseKey(await readFile(`${wanted}.pub`));
  if (key instanceof Error) throw key;
  await using server = await startScriptedServer({
    authenticate: (attempt) => {
      if (attempt.method === 'publickey' && attempt.key.data.equals(key.getPublicSSH())) {
        if (attempt.signature === undefined) attempt.accept();
        else attempt.reject(['keyboard-interactive'], true); // right, but not enough
      } else if (attempt.method === 'keyboard-interactive')
        byKeyboard([{ prompts: ['OTP: '], answers: ['42'] }])(attempt);
      else attempt.reject(['publickey', 'keyboard-interactive']);
    },
  });
  const hop = await knownHop(server, { agent: socket });
  const { request } = aRequest([hop], { code: ['42'] });
  (await aDial()(request)).close();
  expect(server.attempts).toEqual(['publickey', 'publickey', 'keyboard-interactive']);
});

test('a server that does not wait for the answer leaves the login to a person, and the question is withdrawn', async () => {
  await using server = await startScriptedServer({ authenticate: byPassword('geheim') });
  let withdrawn = false;
  const { request } = aRequest(
    [await knownHop(server)],
    {},
    {
      ask: (_question, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            withdrawn = true;
            reject(new Error('withdrawn'));
          });
          for (const socket of server.sockets) socket.destroy(); // LoginGraceTime
        }),
    },
  );
  expect(await failureOf(aDial()(request))).toMatchObject({ code: 'NEEDS_PERSON' });
  expect(withdrawn).toBe(true);
});

test('a login that hangs has a limit', async () => {
  await using server = await startScriptedServer({ authenticate: () => undefined });
  const timeouts = { connectMs: 5_000, loginMs: 100, channelMs: 100 };
  const failure = await failureOf(aDial()(aRequest([await knownHop(server)], {}, { timeouts }).request));
  expect(failure.code).toBe('LOGIN_TIMEOUT');
  await eventually(() => server.sockets.size === 0);
});

test('a hostile banner reaches the log cleaned, each line with its origin, and not too often', async () => {
  await using server = await startScriptedServer({
    banner: 'Welcome\u001b]0;owned\u0007\r\nforged: {"level":"error"}\r\n',
  });
  const { request, notes } = aRequest([await knownHop(server)]);
  (await aDial()(request)).close();
  const name = `tester@127.0.0.1:${server.port}`;
  expect(notes).toEqual([`${name} says: Welcome\\u001b]0;owned\\u0007\n${name} says: forged: {"level":"error"}`]);
});

test('an agent that never answers costs five seconds at most and not the login', async () => {
  const socket = join(home.dir, 'mute.sock');
  const mute = createServer((connection) => connection.resume());
  await new Promise<void>((resolve) => mute.listen(socket, resolve));
  onTestFinished(() => void mute.close());
  const limit = new AbortController();
  const startedMs = performance.now();
  const asked = new AgentClient(socket).keys(limit.signal);
  setTimeout(() => limit.abort(new Error('called off')), 50);
  await expect(asked).rejects.toThrow('called off');
  expect(performance.now() - startedMs).toBeLessThan(4_500); // its own limit is 5 s
});

test('a security key in the agent logs in: its flags and counter reach the server', async () => {
  const sshd = await startSshd();
  onTestFinished(() => sshd.stop());
  const key = await fakeSecurityKey(join(home.dir, 'fido.sock'));
  await appendFile(sshd.authorizedKeysFile, `sk-ssh-ed25519@openssh.com ${key.toString('base64')}\n`);
  const hop = sshdHop(sshd, { identities: [], agent: join(home.dir, 'fido.sock') });
  (await aDial()(aRequest([hop]).request)).close();
  await eventually(() => sshd.log.includes('Accepted publickey for'));
});

/** An agent with one security key, made in software (PROTOCOL.u2f of OpenSSH). @returns its public key */
async function fakeSecurityKey(path: string): Promise<Buffer> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const type = wireString('sk-ssh-ed25519@openssh.com');
  const blob = Buffer.concat([type, wireString(rawKey(publicKey)), wireString('ssh:')]);
  const touched = Buffer.of(1, 0, 0, 0, 7); // user presence, and a counter
  const sha256 = (data: Buffer | string): Buffer => createHash('sha256').update(data).digest();
  const agent = createServer((connection) => {
    connection.on('data', (message) => {
      const body = new WireReader(message.subarray(4));
      if (body.byte() === 11) {
        const list = Buffer.concat([Buffer.of(12), wireUint32(1), wireString(blob), wireString('fido')]);
        return connection.write(wireString(list));
      }
      body.string();
      const signed = Buffer.concat([sha256('ssh:'), touched, sha256(body.string())]);
      const signature = Buffer.concat([type, wireString(sign(null, signed, privateKey)), touched]);
      connection.write(wireString(Buffer.concat([Buffer.of(14), wireString(signature)])));
    });
  });
  await new Promise<void>((resolve) => agent.listen(path, resolve));
  onTestFinished(() => void agent.close());
  return blob;
}

test('an agent that sends rubbish is an error in words', async () => {
  const socket = join(home.dir, 'rubbish.sock');
  const rubbish = createServer((connection) => connection.end(Buffer.of(0x7f, 0xff, 0xff, 0xff, 1)));
  await new Promise<void>((resolve) => rubbish.listen(socket, resolve));
  onTestFinished(() => void rubbish.close());
  await expect(new AgentClient(socket).keys(ALWAYS)).rejects.toThrow('the agent sent an oversized answer');
});

test('the demonstration server lets its own key in, forwards where it is told, and can be cut', async () => {
  const target = createServer((socket) => socket.end('+OK\r\n'));
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void target.close());
  const { port } = target.address() as AddressInfo;
  const server = await startDemoServer({ connectTo: (host) => (host === 'pop.example.org' ? port : undefined) });
  onTestFinished(() => server.close());
  const key = join(home.dir, 'demo_key');
  const known = join(home.dir, 'demo_known');
  await writeFile(key, server.identity, { mode: 0o600 });
  await writeFile(known, `${server.knownHostsLine}\n`);
  const hop = aHop({
    port: server.port,
    user: server.user,
    identities: [{ file: key, explicit: true }],
    knownHosts: [known],
  });

  const transport = await aDial()(aRequest([hop]).request);
  const open = (host: string) => transport.openDirect({ kind: 'tcp', host, port: 110 }, NOBODY, ALWAYS);
  const heard = listenTo(await open('pop.example.org'));
  await heard.closed;
  expect(heard.text()).toBe('+OK\r\n');
  await expect(open('other.example.org')).rejects.toMatchObject({ code: 'TARGET_REFUSED' });

  const closed = new Promise((resolve) => transport.onClosed(resolve));
  server.cutAll();
  expect(await closed).toMatchObject({ code: 'CONNECTION_LOST' });
  (await aDial()(aRequest([hop]).request)).close();
});
