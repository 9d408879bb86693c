import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { ClientRule } from '../../src/model/plan.ts';
import { eventually } from '../support/eventually.ts';
import { aStartedForward, type ForwardFixture } from '../support/forward-fixture.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';

const [FIRST, SECOND] = ['127.0.0.2', '127.0.0.3'];

/** An echoing forward by this rule, in use by the first client. */
async function inUse(target: TcpTarget, clients: ClientRule, queue = 256) {
  const whileDown = { hold: true, holdMs: 15_000, queue };
  const it = await aStartedForward(target.endpoint, { whileDown, plan: { clients } });
  const first = await client(it.port, '127.0.0.1', FIRST);
  await echoed(first, 'first');
  return { it, first };
}

async function echoed(socket: Socket, words: string): Promise<void> {
  socket.write(words);
  const [back] = (await once(socket, 'data')) as [Buffer];
  expect(back.toString()).toBe(words);
}

async function closed(it: ForwardFixture, connections: number): Promise<void> {
  await eventually(() => it.forward.facts.openConnections === connections);
}

describe('a listener for one client address at a time', () => {
  test('exclusive: closes a second one, says which one uses it, and serves it later', async () => {
    await using target = await TcpTarget.start(echo);
    const { it, first } = await inUse(target, 'exclusive');
    await using _ = it;

    expect(await transcript(await client(it.port, '127.0.0.1', SECOND))).toMatchObject({ text: '' });
    expect(it.notes.map(({ message }) => message)).toEqual([
      `Closed a connection from ${SECOND} to 127.0.0.1:${it.port}: ${FIRST} uses it, and only one may at a time (clients: exclusive)`,
    ]);
    const more = await client(it.port, '127.0.0.1', FIRST);
    await echoed(more, 'more of the first');

    more.destroy();
    first.destroy();
    await closed(it, 0);
    await echoed(await client(it.port, '127.0.0.1', SECOND), 'second');
  });

  test('takeover: cuts the first and serves the second', async () => {
    await using target = await TcpTarget.start(echo);
    const { it, first } = await inUse(target, 'takeover');
    await using _ = it;
    const cut = transcript(first);

    const second = await client(it.port, '127.0.0.1', SECOND);
    await echoed(second, 'second');

    expect((await cut).end).toBe('ECONNRESET');
    await eventually(() => it.records.length === 1);
    expect(it.records[0]).toMatchObject({
      end: 'STOPPED',
      reason: `Closed a connection to 127.0.0.1:${target.port}: ${SECOND} has taken over (clients: takeover)`,
    });
    await echoed(second, 'still there');
  });

  test('queue: the second waits until the first has gone, and its bytes with it', async () => {
    await using target = await TcpTarget.start(echo);
    const { it, first } = await inUse(target, 'queue');
    await using _ = it;
    const second = await client(it.port, '127.0.0.1', SECOND);
    second.write('patience');
    await closed(it, 2);
    expect(target.accepted).toBe(1);

    first.end();

    const [back] = (await once(second, 'data')) as [Buffer];
    expect([back.toString(), target.accepted]).toEqual(['patience', 2]);
  });

  test('queue: is bounded, and who gives up leaves it', async () => {
    await using target = await TcpTarget.start(echo);
    const { it, first } = await inUse(target, 'queue', 1);
    await using _ = it;
    const second = await client(it.port, '127.0.0.1', SECOND);
    await closed(it, 2);
    await transcript(await client(it.port, '127.0.0.1', '127.0.0.4'));
    expect(it.notes.at(-1)?.message).toContain('1 wait for their turn already (clients: queue)');

    second.end(); // not a byte: it has given up
    await closed(it, 1);
    const third = await client(it.port, '127.0.0.1', '127.0.0.4');
    await closed(it, 2);
    first.destroy();

    await echoed(third, 'third');
    expect(target.accepted).toBe(2);
  });

  test('queue: a stop lets those go who wait', async () => {
    await using target = await TcpTarget.start(echo);
    const { it, first } = await inUse(target, 'queue');
    const waiting = transcript(await client(it.port, '127.0.0.1', SECOND));
    await closed(it, 2);

    const stopped = it.forward.close(10_000);
    first.end();
    await stopped;

    expect((await waiting).text).toBe('');
  });
});
