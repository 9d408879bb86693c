import { afterEach, beforeEach, expect, test } from 'vitest';
import { appendKnownHost } from '../../src/files/known-hosts-append.ts';
import { readKnownHosts } from '../../src/files/known-hosts.ts';
import { createForward, sameForward } from '../../src/forward/forward.ts';
import { LoginBudget } from '../../src/link/budget.ts';
import { LinkCarrier } from '../../src/link/link-carrier.ts';
import type { Dial } from '../../src/link/transport.ts';
import type { TunnelStatus } from '../../src/model/status.ts';
import { createDial } from '../../src/ssh/dial.ts';
import { TunnelSupervisor } from '../../src/supervisor/supervisor.ts';
import { ask } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { faultyPath, type FaultyPath } from '../support/faulty-path.ts';
import { startSshd, type TestSshd } from '../support/sshd.ts';
import { aForward, aHop, Stage } from '../support/supervisor-parts.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';

// A whole supervisor with its own links and forwards to a real sshd. Only the time is the test's: it stands still until a test
// moves it, and what each moment begins is waited for before the next.

const HOURS_8 = 8 * 3_600_000;
const STEP_MS = 100;

let sshd: TestSshd;
let target: TcpTarget;
let path: FaultyPath;
let stage: Stage;
let supervisor: TunnelSupervisor;
/** When dials began, by the test's clock, and how many are under way. */
let dialsMs: number[];
let dialling: number;

beforeEach(async () => {
  sshd = await startSshd();
  target = await TcpTarget.start(echo);
  path = await faultyPath(sshd.port);
  stage = new Stage();
  dialsMs = [];
  dialling = 0;
  supervisor = aSupervisor();
  const plan = { name: 'mail', hops: [aHop(server())], forwards: [{ ...aForward(0), target: target.endpoint }] };
  await supervisor.start(stage.profile(plan));
  await becomes('up');
  await eventually(() => status().latencyMs !== null || undefined, { what: 'the first round trip' });
});

afterEach(async () => {
  await supervisor.stop('mail', 0);
  await path.close();
  await target.close();
  await sshd.stop();
});

function server(): Parameters<typeof aHop>[0] {
  return {
    label: sshd.address,
    host: '127.0.0.1',
    port: path.port,
    user: sshd.user,
    hostKeyName: '127.0.0.1',
    identities: [{ file: sshd.identityFile, explicit: true }],
    identitiesOnly: true,
    knownHosts: [sshd.knownHostsFile],
  };
}

function aSupervisor(): TunnelSupervisor {
  const { clock, deps } = stage;
  const budget = new LoginBudget(clock);
  const dial = countedDial();
  return new TunnelSupervisor({
    ...deps,
    makeCarrier: (plan, needs) => new LinkCarrier(plan, { ...needs, dial, clock, random: () => 0, budget }),
    makeForward: createForward,
    sameForward,
  });
}

function countedDial(): Dial {
  const dial = createDial({
    readSecret: () => Promise.resolve(undefined),
    hostKeys: { read: readKnownHosts, append: appendKnownHost },
  });
  return async (request) => {
    dialsMs.push(stage.clock.nowMs());
    dialling += 1;
    try {
      return await dial(request);
    } finally {
      dialling -= 1;
    }
  };
}

function status(): TunnelStatus {
  const [mail] = supervisor.snapshot().tunnels;
  if (mail === undefined) throw new Error('The tunnel does not run');
  return mail;
}

const becomes = (state: TunnelStatus['state']): Promise<true> =>
  eventually(() => status().state === state || undefined, { withinMs: 10_000, what: `the state ${state}` });

/** Lets so much time pass, and each dial of it come to its end. */
async function pass(byMs: number): Promise<void> {
  for (let leftMs = byMs; leftMs > 0; leftMs -= STEP_MS) {
    await stage.clock.advance(Math.min(STEP_MS, leftMs));
    await eventually(() => dialling === 0 || undefined, { withinMs: 10_000, what: 'the dials to end' });
  }
}

/** The machine sleeps: clocks of its programs stand still, and the wall's goes on. @returns when it woke */
function sleep(): number {
  stage.clock.jumpWall(HOURS_8);
  return stage.clock.nowMs();
}

async function serves(): Promise<void> {
  const port = Number(/:(\d+)$/.exec(status().forwards[0]?.bind ?? '')?.[1]);
  expect(await ask(port, 'after the night')).toBe('after the night');
}

test('a link that died in the sleep is dialled within 5 s, and in quick steps until the Wi-Fi is there', async () => {
  await pass(10_000);
  path.drop(); // the way has forgotten the connection,
  path.shut(); // and there is no way yet for another
  const wokeMs = sleep();
  await pass(12_000);
  expect(dialsMs.slice(1).map((atMs) => atMs - wokeMs)).toEqual([5_000, 5_500, 6_500, 8_500]);
  await path.heal();
  await pass(1_000);
  await becomes('up');
  await serves(); // by then sshd has written of the login, which it does when the client knows of it
  expect(sshd.logins).toBe(2);
});

test('a link that had been away for long when the machine fell asleep is dialled at once, and in quick steps', async () => {
  await path.refuse();
  await becomes('retrying');
  await pass(70_000);
  const before = dialsMs.length;
  const waitsMs = Date.parse(status().nextRetryAt ?? '') - stage.clock.wallMs();
  expect(waitsMs).toBeGreaterThan(15_000);
  const wokeMs = sleep();
  await pass(10_000);
  expect(dialsMs.slice(before).map((atMs) => atMs - wokeMs)).toEqual([1_000, 1_500, 2_500, 4_500, 8_500]);
  await path.admit();
  await pass(8_000);
  await becomes('up');
  await serves();
});
