// debian: iproute2 util-linux
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StatusSnapshot, TunnelStatus } from '../../src/model/status.ts';
import { eventually, observes } from '../support/eventually.ts';
import { NetSpace } from '../support/net-space.ts';
import { makeKey } from '../support/sshd.ts';
import { TUNNEL, tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

/**
 * A laptop that runs `tunnel`, and a server. The keepalive is the default one, 15 s x 3: what is noticed sooner was
 * noticed by the network's change. The forward's own end is a unix socket, which clients reach from outside the namespace.
 */
const SERVER = '10.9.3.1';
const [ADDRESS, NEXT_ADDRESS] = ['10.9.3.2', '10.9.3.3'];
const TIME = { timeout: 60_000 };
/** The promise is 5 s for the loss; the rest is the new login on a busy machine. */
const SOON_MS = 8_000;

let [laptop, server]: NetSpace[] = [];
let dir: string;
let door: string;
let cli: TunnelCli;

beforeEach(async () => {
  [laptop, server] = await Promise.all([NetSpace.create(), NetSpace.create()]);
  await laptop.cable('net', [`${ADDRESS}/24`], server, 'net', [`${SERVER}/24`]);
  dir = await mkdtemp(join(tmpdir(), 'tunnel-change-'));
  door = join(dir, 'door');
  cli = await tunnelCli();
  await startSshd();
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
  for (const space of [laptop, server]) await space?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

async function startSshd(): Promise<void> {
  const [host, key] = [join(dir, 'host_key'), join(dir, 'user_key')];
  await Promise.all([makeKey(host, 'ed25519'), makeKey(key, 'ed25519')]);
  await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  const lines = [
    ...[`ListenAddress ${SERVER}:22`, `HostKey ${host}`, `AuthorizedKeysFile ${key}.pub`],
    ...['PidFile none', 'StrictModes no', 'UsePAM no', 'UseDNS no', 'PermitRootLogin yes'],
  ];
  await writeFile(join(dir, 'sshd_config'), lines.join('\n'));
  const known = (await readFile(`${host}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ');
  await writeFile(join(dir, 'known_hosts'), `${SERVER} ${known}\n`);
  space(server).start('/usr/sbin/sshd', '-D', '-e', '-f', join(dir, 'sshd_config'));
  await eventually(() => space(server).listens(22), { what: 'sshd' });
}

function space(made: NetSpace | undefined): NetSpace {
  if (made === undefined) throw new Error('The machine is not there yet');
  return made;
}

/** Brings up a way to the server's own sshd, whose first word tells that it was reached. */
async function up(...more: readonly string[]): Promise<void> {
  const profile = [
    'sshConfig: none',
    'via:',
    `  - { host: ${SERVER}, user: root, identity: [${dir}/user_key], agent: false, knownHosts: ${dir}/known_hosts }`,
    'forwards:',
    `  - { local: "unix:${door}", to: "${SERVER}:22" }`,
    ...more,
    '',
  ];
  await cli.home.profile('t', profile.join('\n'));
  await tunnel('up', 't');
  expect(await greeted()).toBe('SSH-2.0');
}

/** What a client of the forward is greeted with. */
async function greeted(): Promise<string> {
  const socket = connect(door);
  try {
    const [first] = (await once(socket, 'data', { signal: AbortSignal.timeout(20_000) })) as [Buffer];
    return first.toString('latin1', 0, 7);
  } finally {
    socket.destroy();
  }
}

/** The command, run on the laptop. */
function tunnel(...args: readonly string[]): Promise<string> {
  const [command, line] = space(laptop).line(process.execPath, TUNNEL, ...args);
  return new Promise((resolve, reject) =>
    execFile(command, line, { env: cli.home.env, cwd: cli.home.dir }, (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(`${stdout}${stderr}`, { cause: error })),
    ),
  );
}

async function status(): Promise<TunnelStatus | undefined> {
  return (JSON.parse(await tunnel('status', 't', '--json')) as StatusSnapshot).tunnels[0];
}

const ip = (...words: readonly string[]): Promise<string> => space(laptop).run('ip', ...words);

test('another address: the old connection is given up at once, and a client that comes is served', TIME, async () => {
  await up();

  await ip('address', 'add', `${NEXT_ADDRESS}/24`, 'dev', 'net');
  await ip('address', 'del', `${ADDRESS}/24`, 'dev', 'net'); // takes its secondary ones along
  await ip('address', 'replace', `${NEXT_ADDRESS}/24`, 'dev', 'net');
  const changedAt = performance.now();
  const [word] = await Promise.all([
    greeted(),
    eventually(async () => (await status())?.reconnects === 1, { withinMs: SOON_MS }),
  ]);

  expect(word).toBe('SSH-2.0');
  expect(performance.now() - changedAt).toBeLessThan(SOON_MS);
  expect(await space(server).run('ss', '-Htn', 'sport', '=', ':22')).toContain(NEXT_ADDRESS);
});

test(
  'an interface that goes down is noticed at once, and one that comes back is used at once: nobody is refused',
  TIME,
  async () => {
    await up();

    await ip('link', 'set', 'net', 'down');
    await eventually(async () => (await status())?.state === 'retrying', { withinMs: SOON_MS });
    const held = greeted();
    await observes(3_000, () => false, 'nothing: this is the outage');
    await ip('link', 'set', 'net', 'up');
    const backAt = performance.now();

    expect(await held).toBe('SSH-2.0');
    expect(performance.now() - backAt).toBeLessThan(SOON_MS);
    expect(await status()).toMatchObject({ state: 'up', reconnects: 1 });
  },
);

test(
  'a way back that loses everything is noticed by the keepalive, and its return within seconds: SYNs are young',
  TIME,
  async () => {
    await up('keepalive: { interval: 1s, maxMissed: 2 }');

    await space(server).run('ip', 'route', 'add', 'blackhole', `${ADDRESS}/32`);
    await eventually(async () => (await status())?.state === 'retrying', { withinMs: SOON_MS });
    const held = greeted();
    await observes(7_000, () => false, 'nothing: this is the outage');
    await space(server).run('ip', 'route', 'del', 'blackhole', `${ADDRESS}/32`);
    const backAt = performance.now();

    expect(await held).toBe('SSH-2.0');
    // The promise is 3 s. A SYN that was lost 7 s ago is sent again after 8 s more.
    expect(performance.now() - backAt).toBeLessThan(6_000);
  },
);
