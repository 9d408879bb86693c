import type { Socket } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { closing, echoes, refuses, talking } from '../support/clients.ts';
import { eventually, observes } from '../support/eventually.ts';
import { faultyPath, type FaultyPath } from '../support/faulty-path.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';

/** The words of the path, proved one by one: what the fault tests say of a tunnel hangs on them. */
interface Stage extends AsyncDisposable {
  readonly path: FaultyPath;
  readonly target: TcpTarget;
  readonly socket: Socket;
}

async function stage(): Promise<Stage> {
  const target = await TcpTarget.start(echo);
  const path = await faultyPath(target.port);
  const socket = await talking(path.port);
  return {
    ...{ path, target, socket },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await path.close();
      await target.close();
    },
  };
}

test('a path that stalls keeps the connection, and brings every byte once it has healed', async () => {
  await using on = await stage();
  on.path.stall();
  on.socket.write('held');
  let back = '';
  on.socket.on('data', (part: Buffer) => (back += part.toString()));
  await observes(100, () => back !== '', 'a byte on a stalled path');

  await on.path.heal();
  await eventually(() => back === 'held', { what: 'every byte' });
});

test('a path that drops tells nobody; after it has healed the next byte is answered with a reset', async () => {
  await using on = await stage();
  on.path.drop();
  on.socket.write('lost');
  await observes(100, () => on.socket.destroyed, 'an end on a path that drops');
  await on.path.heal();

  const ended = transcript(on.socket);
  on.socket.write('too late');
  expect(await ended).toEqual({ text: '', end: 'ECONNRESET' });
  await echoes(await talking(on.path.port), 'a new one is well');
});

test('a path that forgets who is idle spares who talks, and loses what the idle one says', async () => {
  await using on = await stage();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }); // time is the test's own: however busy the machine, nobody is idle by that
  onTestFinished(() => void vi.useRealTimers());
  on.path.idleKill(1_000);
  for (let count = 0; count < 5; count += 1) {
    await echoes(on.socket, 'not idle');
    vi.advanceTimersByTime(800);
    await new Promise((resolve) => setImmediate(resolve));
    expect(on.socket.destroyed).toBe(false);
  }
  vi.advanceTimersByTime(1_000);
  vi.useRealTimers();
  await observes(100, () => on.socket.destroyed, 'a word to who is forgotten');

  let back = 0;
  on.socket.on('data', (part: Buffer) => (back += part.length)).write('hello?');
  await observes(100, () => back > 0 || on.socket.destroyed, 'an answer to who is forgotten');
});

test('a path that cuts after so many bytes resets both ends in the middle', async () => {
  await using on = await stage();
  const far = [...on.target.sockets].map(closing);
  on.path.cutAfter(10_000);
  const ended = transcript(on.socket);
  on.socket.write(Buffer.alloc(20_000));

  expect(await ended).toMatchObject({ end: 'ECONNRESET' });
  await Promise.all(far);
});

test('a path that slices, delays and wavers brings every byte in its order', async () => {
  await using on = await stage();
  on.path.slice(7);
  on.path.delay(10, 10);
  const parts: number[] = [];
  on.socket.on('data', (part: Buffer) => parts.push(part.length));

  await echoes(on.socket, 'Whatever the line does to it, the text stays as it was.');
  expect(parts.length).toBeGreaterThan(3);
});

test('a path that throttles takes the time, and loses nothing', async () => {
  await using on = await stage();
  on.path.throttle(200_000);
  const startedMs = performance.now();

  await echoes(on.socket, 'x'.repeat(40_000));
  expect(performance.now() - startedMs).toBeGreaterThan(190);
});

test('a path that refuses has cut what was open, and admits again', async () => {
  await using on = await stage();
  const ended = closing(on.socket);
  await on.path.refuse();
  await ended;
  expect(await refuses(on.path.port)).toBe(true);

  await on.path.admit();
  const again = await client(on.path.port);
  await echoes(again, 'back');
  again.destroy();
});
