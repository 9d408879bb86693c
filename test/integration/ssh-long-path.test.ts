import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { TunnelError } from '../../src/model/failure.ts';
import type { Levers } from '../../src/ssh/data-path.ts';
import { createDial } from '../../src/ssh/dial.ts';
import { ALWAYS, aRequest, listenTo, NOBODY, sshdHop } from '../support/ssh-dial.ts';
import { startSshd, type TestSshd } from '../support/sshd.ts';
import { TcpTarget } from '../support/tcp-target.ts';

const MIB = 1024 * 1024;
const ROUND_TRIP_MS = 150;
/** What ssh2, as OpenSSH, gives every channel. */
const FIXED_WINDOW_BYTES = 2 * MIB;

let sshd: TestSshd;
beforeAll(async () => {
  sshd = await startSshd({ config: ['LogLevel ERROR'] });
});
afterAll(() => sshd.stop());
afterEach(() => void vi.restoreAllMocks());

/**
 * A long path whose time is the test's own, and stands still while anybody computes: what the server sends is under way until the
 * test lets a round trip pass.
 */
class LongPath {
  readonly #server: Server;
  readonly #underWay: Buffer[] = [];
  #near: Socket | undefined;
  #isLong = false;
  #nowMs = performance.now();

  constructor(sshPort: number) {
    vi.spyOn(performance, 'now').mockImplementation(() => this.#nowMs);
    this.#server = createServer({ noDelay: true }, (near) => {
      const far = connect({ port: sshPort, host: '127.0.0.1', noDelay: true });
      this.#near = near;
      near.on('data', (chunk) => far.write(chunk));
      far.on('data', (chunk) => void (this.#isLong ? this.#underWay.push(chunk) : near.write(chunk)));
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        one.on('error', () => undefined);
        one.on('close', () => other.destroy());
      }
    });
    onTestFinished(() => void this.#server.close());
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on; until then it has no length. */
  becomeLong(): void {
    this.#isLong = true;
  }

  /** And a little: whoever measures anew each minute does so. */
  passMinute(): void {
    this.#nowMs += 61_000;
  }

  /** @returns how much the server had under way at once, before it heard from us again */
  async roundTrip(): Promise<number> {
    let bytes = 0;
    for (let before = -1; bytes === 0 || bytes !== before; await pause(20)) {
      before = bytes;
      bytes = this.#underWay.reduce((sum, chunk) => sum + chunk.length, 0);
    }
    this.#nowMs += ROUND_TRIP_MS;
    this.#near?.write(Buffer.concat(this.#underWay.splice(0)));
    return bytes;
  }
}

/** Downloads for so many round trips, or until more than two windows are under way. @returns the most that were, of any one */
async function mostUnderWay(levers: Partial<Levers>, roundTrips: number): Promise<number> {
  const target = await TcpTarget.start((socket) => void socket.end(Buffer.alloc(64 * MIB, 'x')));
  const path = new LongPath(sshd.port);
  const dial = createDial({ readSecret: () => Promise.resolve(undefined), levers });
  const transport = await dial(aRequest([sshdHop(sshd, { port: await path.listen() })]).request);
  try {
    await transport.ping(); // whatever the server says unasked after a login has come before its answer
    path.becomeLong();
    // The first of them is known beside what was measured before, the second instead of it.
    for (let minute = 0; minute < 2; minute += 1) {
      path.passMinute();
      const ping = transport.ping();
      await path.roundTrip();
      expect(await ping).toBe(ROUND_TRIP_MS);
    }
    const opening = transport.openDirect(target.endpoint, NOBODY, ALWAYS);
    let most = await path.roundTrip();
    listenTo(await opening);
    for (let trip = 1; trip < roundTrips && most <= 2 * FIXED_WINDOW_BYTES; trip += 1)
      most = Math.max(most, await path.roundTrip());
    return most;
  } finally {
    transport.destroy(new TunnelError('STOPPED', 'The test is over'));
    await target.close();
  }
}

test('a long path is filled: the window grows with the round trip', { timeout: 30_000 }, async () => {
  expect(await mostUnderWay({ windows: false }, 8)).toBeLessThan(1.1 * FIXED_WINDOW_BYTES);
  expect(await mostUnderWay({}, 60)).toBeGreaterThan(2 * FIXED_WINDOW_BYTES);
});
