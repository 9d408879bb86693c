// debian: iproute2 util-linux vsftpd
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { NetSpace } from '../support/net-space.ts';
import { makeKey } from '../support/sshd.ts';
import { TUNNEL, tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

/**
 * Three machines in a row: a client, a gateway that runs `tunnel`, and a server with sshd and an FTP server. Client and server
 * have no route to each other. Active FTP is what port triggering was made for: the server calls the client back for each file.
 */
const [CLIENT, SECOND, GATEWAY] = ['10.9.1.2', '10.9.1.3', '10.9.1.1'];
const SERVER = '10.9.2.2';
const [CONTROL, RETURN] = [2121, 2020];

let [client, gateway, server]: NetSpace[] = [];
let dir: string;
let cli: TunnelCli;

beforeEach(async () => {
  [client, gateway, server] = await Promise.all([NetSpace.create(), NetSpace.create(), NetSpace.create()]);
  await gateway.cable('inside', [`${GATEWAY}/24`], client, 'net', [`${CLIENT}/24`, `${SECOND}/24`]);
  await gateway.cable('outside', ['10.9.2.1/24'], server, 'net', [`${SERVER}/24`]);
  dir = await mkdtemp(join(tmpdir(), 'tunnel-spaces-'));
  cli = await tunnelCli();
  await Promise.all([startSshd(), startFtp()]);
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
  for (const space of [client, gateway, server]) await space?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

async function startSshd(): Promise<void> {
  const [host, key] = [join(dir, 'host_key'), join(dir, 'user_key')];
  await Promise.all([makeKey(host, 'ed25519'), makeKey(key, 'ed25519')]);
  await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  const lines = [
    `ListenAddress ${SERVER}:22`,
    `HostKey ${host}`,
    `AuthorizedKeysFile ${key}.pub`,
    'GatewayPorts clientspecified',
    ...['PidFile none', 'StrictModes no', 'UsePAM no', 'UseDNS no', 'PermitRootLogin yes'],
  ];
  await writeFile(join(dir, 'sshd_config'), lines.join('\n'));
  const known = (await readFile(`${host}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ');
  await writeFile(join(dir, 'known_hosts'), `${SERVER} ${known}\n`);
  space(server).start('/usr/sbin/sshd', '-D', '-e', '-f', join(dir, 'sshd_config'));
  await eventually(() => space(server).listens(22), { what: 'sshd' });
}

async function startFtp(): Promise<void> {
  const [files, empty] = [join(dir, 'files'), join(dir, 'empty')];
  await mkdir(files, { mode: 0o755 });
  await mkdir(empty, { mode: 0o755 });
  await writeFile(join(files, 'letter'), 'Dear client,\n', { mode: 0o644 });
  const lines = [
    `listen_address=${SERVER}`,
    `anon_root=${files}`,
    `secure_chroot_dir=${empty}`,
    // The control connection comes from the server itself; the file goes to where the client says, from any port.
    ...['listen=YES', 'background=NO', 'anonymous_enable=YES', 'port_promiscuous=YES', 'seccomp_sandbox=NO'],
  ];
  await writeFile(join(dir, 'vsftpd.conf'), `${lines.join('\n')}\n`, { mode: 0o600 });
  space(server).start('/usr/sbin/vsftpd', join(dir, 'vsftpd.conf'));
  await eventually(() => space(server).listens(21), { what: 'the FTP server' });
}

/** Brings up the trigger at the gateway, for clients of the inner network. */
async function up(...rules: readonly string[]): Promise<void> {
  const profile = [
    'sshConfig: none',
    'via:',
    `  - { host: ${SERVER}, user: root, identity: [${dir}/user_key], agent: false, knownHosts: ${dir}/known_hosts }`,
    'forwards:',
    `  - trigger: ${GATEWAY}:${CONTROL}`,
    `    to: ${SERVER}:21`,
    `    opens: [ { remote: ${SERVER}:${RETURN}, to: client:${RETURN} } ]`,
    '    gateway: true',
    ...rules.map((rule) => `    ${rule}`),
    '',
  ];
  await cli.home.profile('ftp', profile.join('\n'));
  await tunnel('up', 'ftp');
}

/** The command, run on the gateway. */
function tunnel(...args: readonly string[]): Promise<string> {
  const [command, line] = space(gateway).line(process.execPath, TUNNEL, ...args);
  return new Promise((resolve, reject) =>
    execFile(command, line, { env: cli.home.env, cwd: cli.home.dir }, (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(`${stdout}${stderr}`, { cause: error })),
    ),
  );
}

/** Fetches the letter by active FTP: curl listens at the return port, and tells the server to call the server's own address. */
function fetchLetter(from: string): Promise<string> {
  const callMe = ['--disable-eprt', '--ftp-port', `${SERVER}:${RETURN}`];
  const bounds = ['-q', '-sS', '--max-time', '15', '--interface', from];
  return space(client).run('curl', ...bounds, ...callMe, `ftp://${GATEWAY}:${CONTROL}/letter`);
}

const returnPortOpen = (): Promise<boolean> => space(server).listens(RETURN);

async function returnPortCloses(): Promise<void> {
  await eventually(async () => !(await returnPortOpen()), { withinMs: 10_000, what: 'the return port to close' });
}

function space(made: NetSpace | undefined): NetSpace {
  if (made === undefined) throw new Error('The machine is not there yet');
  return made;
}

test('active FTP works through a trigger, and nothing is open before and after', { timeout: 40_000 }, async () => {
  await up('idle: 2s');
  expect(await returnPortOpen()).toBe(false);

  expect(await fetchLetter(CLIENT)).toBe('Dear client,\n');

  await returnPortCloses();
  const closed = `Closed the return ports for ${CLIENT} after 2s without traffic`;
  const log = await eventually(
    async () => {
      const lines = await tunnel('logs', 'ftp');
      return lines.includes(closed) && lines;
    },
    { what: closed },
  );
  expect(log).toContain(`Opened ${SERVER}:${RETURN} -> ${CLIENT}:${RETURN} for ${CLIENT}`);
});

test(
  'a second client is refused while the ports lead to the first, and served after that',
  { timeout: 40_000 },
  async () => {
    await up('idle: 4s');
    await fetchLetter(CLIENT);

    await expect(fetchLetter(SECOND)).rejects.toThrow(/curl: \(/);
    expect(await tunnel('logs', 'ftp')).toContain(`Closed a connection from ${SECOND} to ${GATEWAY}:${CONTROL}: `);
    await returnPortCloses();

    expect(await fetchLetter(SECOND)).toBe('Dear client,\n');
    expect(await tunnel('logs', 'ftp')).toContain(`-> ${SECOND}:${RETURN} for ${SECOND}`);
  },
);

test(
  'clients: queue lets a second client wait until the ports of the first are closed',
  { timeout: 40_000 },
  async () => {
    await up('idle: 2s', 'clients: queue');

    const letters = await Promise.all([fetchLetter(CLIENT), fetchLetter(SECOND)]);

    expect(letters).toEqual(['Dear client,\n', 'Dear client,\n']);
    const order = [...(await tunnel('logs', 'ftp')).matchAll(/(Opened|Closed).* for (10\.9\.1\.\d)/g)];
    const [first, , second] = order.map(([, , whose]) => whose);
    expect(order.slice(0, 3).map(([, what, whose]) => [what, whose])).toEqual([
      ['Opened', first],
      ['Closed', first],
      ['Opened', second],
    ]);
    expect(second).not.toBe(first);
  },
);

test('`down` closes the return port at once, whatever is left of its time', { timeout: 40_000 }, async () => {
  await up('idle: 5m');
  await fetchLetter(CLIENT);
  expect(await returnPortOpen()).toBe(true);

  await tunnel('down', 'ftp');

  expect([await returnPortOpen(), await space(gateway).listens(CONTROL)]).toEqual([false, false]);
});
