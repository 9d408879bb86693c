import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pauseFor } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Transport } from '../../src/link/transport.ts';
import { createDial } from '../../src/ssh/dial.ts';
import type { Levers } from '../../src/ssh/data-path.ts';
import { forwardOver } from './forward-over.ts';
import { aRequest, sshdHop } from './ssh-dial.ts';
import { startSshd, type TestSshd } from './sshd.ts';
import { echo, TcpTarget } from './tcp-target.ts';

/** What one client does: writes these sizes, stands still while reading at times, and may leave before it has everything. */
interface Visit {
  readonly writes: readonly number[];
  readonly pauseEvery: number;
  readonly leavesAfter: number | undefined;
}

const visit: fc.Arbitrary<Visit> = fc.record({
  writes: fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 300_000 })), {
    minLength: 1,
    maxLength: 10,
  }),
  pauseEvery: fc.oneof(fc.constant(0), fc.integer({ min: 30_000, max: 400_000 })),
  leavesAfter: fc.option(fc.integer({ min: 0, max: 500_000 }), { nil: undefined, freq: 5 }),
});

/** Random visits through a forward and a real sshd that exchanges keys after each megabyte: every byte comes back as it went. */
export function dataPathCases(ciphers: readonly string[]): void {
  let sshd: TestSshd;
  let target: TcpTarget;
  beforeAll(async () => {
    sshd = await startSshd({ config: ['RekeyLimit 1M', 'LogLevel ERROR'] });
    target = await TcpTarget.start(echo);
  });
  afterAll(async () => {
    await target.close();
    await sshd.stop();
  });

  describe.each(ciphers)('with %s', (cipher) => {
    test.each<[string, Partial<Levers>, boolean]>([
      ['', {}, false],
      [' through two hops', {}, true],
      [' with every lever off', { slab: false, windows: false, reads: false }, false],
    ])('what clients send comes back whole%s', { timeout: 60_000 }, async (_name, levers, twoHops) => {
      const transport = await dialled(sshd, cipher, levers, twoHops);
      const { forward, port } = await forwardOver(transport, target.port);
      onTestFinished(() => forward.close(0));
      await fc.assert(
        fc.asyncProperty(fc.array(visit, { minLength: 1, maxLength: 5 }), async (visits) => {
          const ends = await Promise.all(visits.map((one) => play(port, one)));
          for (const { sent, received } of ends) expect(received).toBe(sent);
        }),
        { numRuns: 5 },
      );
    });
  });
}

async function dialled(sshd: TestSshd, cipher: string, levers: Partial<Levers>, twoHops: boolean): Promise<Transport> {
  const dial = createDial({ readSecret: () => Promise.resolve(undefined), levers });
  const hop = sshdHop(sshd, { ciphers: [cipher] });
  const transport = await dial(aRequest(twoHops ? [hop, hop] : [hop]).request);
  onTestFinished(() => transport.close());
  return transport;
}

/** @returns the hashes of what was sent and of what came back; equal by definition for a client that left */
async function play(
  port: number,
  { writes, pauseEvery, leavesAfter }: Visit,
): Promise<{ sent: string; received: string }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [sent, received] = [createHash('sha256'), createHash('sha256')];
  let bytes = 0;
  let sincePause = 0;
  let left = false;
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    received.update(chunk);
    bytes += chunk.length;
    sincePause += chunk.length;
    if (leavesAfter !== undefined && bytes >= leavesAfter) {
      left = true;
      socket.resetAndDestroy();
    } else if (pauseEvery > 0 && sincePause >= pauseEvery) {
      sincePause = 0;
      standStill(socket);
    }
  });
  const closed = once(socket, 'close');
  for (const size of writes) {
    const chunk = randomFillSync(Buffer.allocUnsafe(size));
    sent.update(chunk);
    if (!socket.destroyed && !socket.write(chunk)) await Promise.race([once(socket, 'drain'), closed]);
  }
  socket.end();
  await closed;
  return left ? { sent: '', received: '' } : { sent: sent.digest('hex'), received: received.digest('hex') };
}

function standStill(socket: Socket): void {
  socket.pause();
  void pauseFor(5).then(() => socket.resume());
}
