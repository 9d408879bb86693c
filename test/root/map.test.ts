// debian: iproute2 util-linux curl nftables miniupnpd
import { execFile, spawn } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MapStatus } from '../../src/model/status.ts';
import { eventually } from '../support/eventually.ts';
import { HomeRouter, OURS, OUTSIDE, ROUTER } from '../support/home-router.ts';
import { TUNNEL, tunnelCli, type TunnelCli, type Ran } from '../support/tunnel-cli.ts';

/**
 * A machine at home, a real miniupnpd between it and the Internet, and a stranger out there who wants the page that a relay of
 * ours leads to.
 */
let router: HomeRouter;
let cli: TunnelCli;

beforeEach(async () => {
  router = await HomeRouter.create();
  cli = await tunnelCli();
  await servePage();
});

afterEach(async () => {
  await tunnel('daemon', 'stop');
  await cli[Symbol.asyncDispose]();
  await router[Symbol.asyncDispose]();
});

async function servePage(): Promise<void> {
  const page = "require('node:http').createServer((_, answer) => answer.end('page')).listen(8000, '127.0.0.1')";
  router.home.start(process.execPath, '-e', page);
  await eventually(() => router.home.listens(8000), { what: 'the page' });
}

/** The command, run at home. */
function tunnel(...args: readonly string[]): Promise<Ran> {
  const [command, line] = router.home.line(process.execPath, TUNNEL, ...args);
  return new Promise((resolve) =>
    execFile(command, line, { env: cli.home.env, cwd: cli.home.dir }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    ),
  );
}

async function up(port = 80): Promise<Ran> {
  const forward = `{ relay: '0.0.0.0:8080', to: '127.0.0.1:8000', name: web, allow: [0.0.0.0/0], map: { port: ${port} } }`;
  await cli.home.profile('web', `forwards:\n  - ${forward}\n`);
  return tunnel('up', 'web');
}

async function mapping(): Promise<MapStatus | undefined> {
  return (await cli.status('web')).forwards[0]?.map;
}

describe.each([
  ['PCP', {}],
  ['UPnP', { enable_natpmp: 'no' }],
  ['UPnP', { enable_natpmp: 'no', force_igd_desc_v1: 'yes' }],
])('by %s %j', (way, settings) => {
  test('a stranger reaches the relay through the port of the router, from `up` to `down`', async () => {
    await router.start(settings);

    const ran = await up();

    expect(ran.code).toBe(0);
    expect(ran.stdout).toContain(`mapped: ${OUTSIDE}:80 (TCP)`);
    expect(await mapping()).toMatchObject({ state: 'mapped', external: `${OUTSIDE}:80`, way, router: ROUTER });
    expect(await router.fetch(80)).toBe('page');

    expect((await tunnel('down', 'web')).code).toBe(0);
    expect(await router.mapped()).toBe(0);
    await expect(router.fetch(80)).rejects.toThrow(/curl/);
  });
});

test('a lease is renewed before it ends', async () => {
  await router.start({ max_lifetime: '4' });
  await up();
  const first = (await mapping())?.expiresAt ?? '';

  await eventually(async () => Date.parse((await mapping())?.expiresAt ?? '') > Date.parse(first) + 4_000, {
    withinMs: 15_000,
    what: 'a second renewal',
  });

  expect(await router.fetch(80)).toBe('page');
  expect((await tunnel('logs', 'web')).stdout.match(/leads 12\.34\.56\.78:80/g)).toHaveLength(1);
});

test('a router that restarted leads the port here again, as soon as the network is back', async () => {
  await router.start({ enable_natpmp: 'no' });
  await up();
  await router.stop();
  expect(await router.mapped()).toBe(0);

  await router.start({ enable_natpmp: 'no' });
  await router.home.run('ip', 'address', 'add', '192.168.7.99/24', 'dev', 'net'); // what the machine sees of it: a change

  await eventually(async () => (await router.mapped()) === 1, { withinMs: 10_000, what: 'the mapping' });
  expect(await router.fetch(80)).toBe('page');
  expect((await tunnel('logs', 'web')).stdout).toContain('has forgotten the mapping: asking for it again');
});

test('a port that somebody else has is another port, and said so', async () => {
  await router.start({}, ['deny 80 0.0.0.0/0 0-65535', 'allow 0-65535 192.168.7.0/24 0-65535']);

  const ran = await up();

  expect(ran.stdout).toContain(`mapped: ${OUTSIDE}:81 (TCP)`);
  expect(await router.fetch(81)).toBe('page');
  expect((await tunnel('logs', 'web')).stdout).toContain('The router granted port 81 in place of 80');
});

test('a router that allows nothing leaves the forward up, and nobody overlooks it', async () => {
  await router.start({ enable_natpmp: 'no', force_igd_desc_v1: 'yes' }, ['deny 0-65535 0.0.0.0/0 0-65535']);

  const ran = await up();

  expect(ran.code).toBe(0);
  expect(ran.stdout).toContain('not mapped: port 80 (TCP)');
  expect(await mapping()).toMatchObject({ state: 'failed', external: null, lastError: { code: 'ROUTER_REFUSED' } });
  const { stdout } = await tunnel('status', 'web');
  expect(stdout).toContain('up, not mapped');
  expect(stdout).toContain('it does not allow this machine to (UPnP 606)');
  expect(stdout).toContain(`port 80 (TCP) to ${OURS}:8080`);
  expect(await router.home.run('curl', '-sS', 'http://127.0.0.1:8080/')).toBe('page');
});

test('a router that speaks none of it is told so, with what to do', async () => {
  const ran = await up();

  expect(ran.code).toBe(0);
  expect((await mapping())?.lastError).toMatchObject({
    code: 'ROUTER_NOT_FOUND',
    message: `Cannot map port 80 (TCP) of the router ${ROUTER}: it does not answer by PCP, NAT-PMP, UPnP`,
  });
});

test('after kill -9 the next start takes the mapping over', async () => {
  await router.start();
  await up();
  process.kill(await cli.supervisorPid(), 'SIGKILL');
  expect(await router.mapped()).toBe(1);

  const ran = await up();

  expect(ran.stdout).toContain(`mapped: ${OUTSIDE}:80 (TCP)`);
  expect(await mapping()).toMatchObject({ way: 'PCP', external: `${OUTSIDE}:80` });
  await tunnel('daemon', 'stop');
  expect(await router.mapped()).toBe(0);
});

test('a router with a private address of its own is told plainly, with the remedy', async () => {
  await router[Symbol.asyncDispose]();
  router = await HomeRouter.create('192.168.178.20');
  await servePage();
  await router.start();

  await up();

  const { stdout } = await tunnel('status', 'web');
  expect(stdout).toContain('not mapped');
  expect(stdout).toContain('it has no address that the Internet can reach');
  expect((await mapping())?.lastError).toMatchObject({ code: 'ROUTER_NOT_PUBLIC' });
  expect((await mapping())?.lastError?.hint).toContain('double NAT');
});

describe('`tunnel check` of a profile with `map`', () => {
  async function profile(port = 80): Promise<void> {
    const forward = `{ relay: '0.0.0.0:8080', to: '127.0.0.1:8000', name: web, allow: [0.0.0.0/0], map: { port: ${port} } }`;
    await cli.home.profile('web', `forwards:\n  - ${forward}\n`);
  }

  async function checked(): Promise<{ readonly code: number; readonly steps: readonly Step[] }> {
    const { code, stdout } = await tunnel('check', 'web', '--json');
    const { steps } = JSON.parse(stdout) as { steps: (Step & { error: { code: string } | null })[] };
    const router = steps.filter(({ step }) => ['router', 'external', 'map'].includes(step));
    return {
      code,
      steps: router.map(({ step, subject, found, error }) => ({ step, subject, found: error?.code ?? found })),
    };
  }

  interface Step {
    readonly step: string;
    readonly subject: string;
    readonly found: string;
  }

  const SPOKEN = { step: 'router', subject: 'default gateway', found: `${ROUTER} speaks PCP, NAT-PMP, UPnP` };
  const PUBLIC = { step: 'external', subject: OUTSIDE, found: 'nothing says that it is not public' };
  const WISH = { step: 'map', subject: 'web: port 80 (TCP)' };

  test('shows the router and that its port is free, and leaves nothing there', async () => {
    await router.start();
    await profile();

    const ran = await tunnel('check', 'web');

    expect(ran.code).toBe(0);
    expect(ran.stdout).toMatch(/ok {2}external +12\.34\.56\.78/);
    expect(await checked()).toEqual({ code: 0, steps: [SPOKEN, PUBLIC, { ...WISH, found: 'free' }] });
    expect(await router.mapped()).toBe(0);
  });

  test('knows its own mapping from that of somebody else', async () => {
    await router.start();
    await up();

    expect((await checked()).steps).toContainEqual({ ...WISH, found: `leads here, to ${OURS}:8080` });

    await cli.home.profile(
      'web',
      `forwards:\n  - { relay: '0.0.0.0:8081', to: '127.0.0.1:8000', name: web, map: { port: 80 } }\n`,
    );
    expect(await checked()).toMatchObject({ code: 8, steps: [SPOKEN, PUBLIC, { ...WISH, found: 'ROUTER_REFUSED' }] });
    expect(await router.mapped()).toBe(1);
  });

  test('says that a router stands behind another one, and that there is none', async () => {
    await profile();
    expect(await checked()).toEqual({ code: 7, steps: [{ ...SPOKEN, found: 'ROUTER_NOT_FOUND' }] });

    await router[Symbol.asyncDispose]();
    router = await HomeRouter.create('192.168.178.20');
    await servePage();
    await router.start();

    const { steps } = await checked();
    expect(steps).toContainEqual({ step: 'external', subject: 'not told', found: 'ROUTER_NOT_PUBLIC' });
    expect((await tunnel('check', 'web')).stdout).toContain('double NAT');
    expect(await router.mapped()).toBe(0);
  });
});

describe('`tunnel map`', () => {
  /** Starts it at home with these words; `ended` after a signal. */
  function mapping(...words: readonly string[]) {
    const [command, line] = router.home.line(process.execPath, TUNNEL, 'map', ...words);
    const child = spawn(command, line, { env: cli.home.env, cwd: cli.home.dir });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (said += text));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    return { said: () => said, ended, end: (signal: NodeJS.Signals) => child.kill(signal) };
  }

  test.each([
    ['pcp', 'PCP'],
    ['nat-pmp', 'NAT-PMP'],
    ['upnp', 'UPnP'],
  ])('by %s leads a port here until Ctrl-C, renews it, and gives it back', async (by, way) => {
    await router.start();
    const relay = `require('node:http').createServer((_, answer) => answer.end('page')).listen(8080)`;
    router.home.start(process.execPath, '-e', relay);
    await eventually(() => router.home.listens(8080), { what: 'the program' });

    const kept = mapping('80:8080', '--by', by, '--lease', '4s', '--json');
    await eventually(() => kept.said().includes('"mapped"'), { withinMs: 10_000, what: 'the mapping' });
    expect(JSON.parse(kept.said().split('\n')[0] ?? '')).toMatchObject({
      way,
      external: `${OUTSIDE}:80`,
      port: 80,
      internalPort: 8080,
    });
    await eventually(() => kept.said().split('"mapped"').length > 4, { withinMs: 15_000, what: 'renewals' });
    expect(await router.fetch(80)).toBe('page');

    kept.end('SIGINT');
    expect(await kept.ended).toBe(130);
    expect(await router.mapped()).toBe(0);
  });

  test('without a port shows the router and who has which of its ports', async () => {
    await router.start();
    const kept = mapping('5000:5001/udp');
    await eventually(() => kept.said().includes('mapped by PCP'), { withinMs: 10_000, what: 'the mapping' });

    const shown = await tunnel('map');
    const view: unknown = JSON.parse((await tunnel('map', '--json')).stdout);

    expect(shown.stdout).toContain(`Router ${ROUTER}, outer address ${OUTSIDE}, speaks PCP, NAT-PMP, UPnP`);
    expect(shown.stdout).toMatch(/5000 \(UDP\) +192\.168\.7\.2:5001/);
    expect(view).toMatchObject({
      version: 1,
      router: ROUTER,
      local: OURS,
      external: OUTSIDE,
      mappings: [{ externalPort: 5000 }],
    });
    kept.end('SIGTERM');
    expect(await kept.ended).toBe(0);
  });

  test('a router that speaks none of it is exit 7, and one that refuses is 8', async () => {
    expect((await tunnel('map')).code).toBe(7);
    expect((await tunnel('map', '80:8080', '--by', 'upnp')).code).toBe(7);

    await router.start({ enable_natpmp: 'no', force_igd_desc_v1: 'yes' }, ['deny 0-65535 0.0.0.0/0 0-65535']);

    const refused = await tunnel('map', '80:8080');
    expect(refused.code).toBe(8);
    expect(refused.stderr).toContain('it does not allow this machine to (UPnP 606)');
    expect((await tunnel('map', '0:8080')).code).toBe(2);
  });
});
