import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { composeEngine } from '../../src/compose-engine.ts';
import { planOfProfile } from '../../src/compose-plan.ts';
import { compose } from '../../src/compose.ts';
import type { TcpEndpoint } from '../../src/model/endpoint.ts';
import { NOTHING_REMEMBERED } from '../../src/model/memory.ts';
import { TunnelSupervisor } from '../../src/supervisor/supervisor.ts';
import { ask } from '../support/clients.ts';
import { eventually, observes } from '../support/eventually.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ANY_PORT } from '../support/forward-fixture.ts';
import { aRelay } from '../support/relay-fixture.ts';
import { stalled } from '../support/stalled.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';

const says = (text: string) => (socket: Socket) => void socket.resume().end(text);

async function deadTarget(): Promise<TcpEndpoint> {
  const target = await TcpTarget.start(echo);
  const { endpoint } = target;
  await target.close();
  return endpoint;
}

describe('a relay', () => {
  test('leads a client to its target without a link, and tells of it', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aRelay([target.endpoint]);

    const answer = await ask(it.port, 'hello');

    const record = await eventually(() => it.records[0]);
    const where = `127.0.0.1:${target.port}`;
    expect(answer).toBe('hello');
    expect(record).toMatchObject({ forward: 'web', target: where, receivedBytes: 5, sentBytes: 5, end: 'done' });
    expect(it.forward.facts).toMatchObject({ kind: 'relay', target: where, listening: true, totalConnections: 1 });
    expect({ opens: it.carrier.opens, needs: it.carrier.needs }).toEqual({ opens: 0, needs: 0 });
  });

  test('passes on the end of one direction and goes on in the other', async () => {
    await using target = await TcpTarget.start((socket) => {
      socket.resume().once('end', () => socket.end('after your end'));
      socket.write('greeting, ');
    });
    await using it = await aRelay([target.endpoint]);

    expect(await ask(it.port, 'I end first')).toBe('greeting, after your end');
  });

  test('holds a target back while its client does not read', { timeout: 30_000 }, async () => {
    const mib = Buffer.alloc(1024 * 1024);
    let sent = 0;
    await using target = await TcpTarget.start((socket) => {
      const more = (): void => {
        while (sent < 256 && socket.write(mib)) sent += 1;
        if (sent < 256) socket.once('drain', () => ((sent += 1), more()));
        else socket.end();
      };
      more();
    });
    await using it = await aRelay([target.endpoint]);
    const socket = await client(it.port);

    await observes(500, () => sent > 64, 'more than the buffers on the way take');
    let received = 0;
    socket.on('data', (chunk: Buffer) => (received += chunk.length));
    await once(socket, 'end');
    socket.destroy();

    expect(received).toBe(256 * mib.length);
  });

  test('lets go of a client in order when its only target refuses, and says why', async () => {
    const dead = await deadTarget();
    await using it = await aRelay([dead]);

    const { end } = await transcript(await client(it.port));

    const message = `Cannot connect to 127.0.0.1:${dead.port}: Connection refused`;
    expect(end).toBe('FIN');
    expect(it.notes).toEqual([{ level: 'warn', message, code: 'TARGET_REFUSED' }]);
    expect(it.forward.facts).toMatchObject({ listening: true, error: null, totalConnections: 1 });
  });

  test('closes at once who is not in `allow`, of either family', async () => {
    await using target = await TcpTarget.start(says('welcome'));
    const bind = { ...ANY_PORT, host: 'localhost' };
    await using it = await aRelay([target.endpoint], { plan: { bind, allow: ['::1/128', '10.0.0.0/8'] } });

    const four = await transcript(await client(it.port, '127.0.0.1'));
    const six = await transcript(await client(it.port, '::1'));

    expect(four.text).toBe('');
    expect(six).toEqual({ text: 'welcome', end: 'FIN' });
    expect(target.accepted).toBe(1);
    expect(it.notes[0]?.message).toContain('127.0.0.1 to localhost');
  });

  test('keeps to the limits', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aRelay([target.endpoint], { limits: { connections: 1, perClient: 1 } });
    const first = await client(it.port);
    await eventually(() => target.accepted === 1);

    const second = await transcript(await client(it.port));

    expect(second.text).toBe('');
    expect(it.notes).toMatchObject([{ level: 'warn', code: 'LIMIT_REACHED' }]);
    first.destroy();
  });
});

describe('a relay with several targets', () => {
  test('goes to the first while it answers, and to the next when it refuses', async () => {
    const first = await TcpTarget.start(says('first'));
    await using second = await TcpTarget.start(says('second'));
    const clock = new FakeClock();
    await using it = await aRelay([first.endpoint, second.endpoint], { clock });
    const { port } = first;

    const before = await ask(it.port, '');
    await first.close();
    const during = [await ask(it.port, ''), await ask(it.port, '')];
    await using back = await TcpTarget.start(says('first'), '127.0.0.1', port);
    await clock.advance(5_000);
    await eventually(() => it.notes.length === 2);
    const after = await ask(it.port, '');

    expect([before, during, after]).toEqual(['first', ['second', 'second'], 'first']);
    expect(it.notes.map(({ level, message }) => [level, message])).toEqual([
      [
        'warn',
        `Target 127.0.0.1:${port} is skipped until it answers: Cannot connect to 127.0.0.1:${port}: Connection refused`,
      ],
      ['info', `Target 127.0.0.1:${port} answers again`],
    ]);
    expect(it.records.map(({ target }) => target)).toContain(`127.0.0.1:${second.port}`);
    expect(back.accepted).toBe(2); // one look, one client
  });

  test('takes turns by round-robin, past one that is down', async () => {
    await using first = await TcpTarget.start(says('1'));
    await using second = await TcpTarget.start(says('2'));
    await using it = await aRelay([first.endpoint, await deadTarget(), second.endpoint], {
      plan: { choose: 'round-robin' },
    });

    let answers = '';
    for (let client = 0; client < 8; client += 1) answers += await ask(it.port, '');

    expect(answers.slice(2)).toMatch(/^(?:12){3}$|^(?:21){3}$/);
  });

  test('passes over one that is silent, within three seconds', async () => {
    const { port } = await stalled('127.0.0.2');
    const silent: TcpEndpoint = { kind: 'tcp', host: '127.0.0.2', port };
    await using second = await TcpTarget.start(says('second'));
    const clock = new FakeClock();
    await using it = await aRelay([silent, second.endpoint], { clock });

    const answer = ask(it.port, '');
    await eventually(() => it.forward.facts.openConnections === 1 && clock.pending > 1);
    await clock.advance(3_000);

    expect(await answer).toBe('second');
    expect(it.notes[0]).toMatchObject({ level: 'warn', code: 'CONNECT_TIMEOUT' });
  });

  test('tries even those that were down when no other is left', async () => {
    const first = await TcpTarget.start(says('first'));
    const dead = await deadTarget();
    await using it = await aRelay([dead, first.endpoint], { clock: new FakeClock() }); // nobody looks at them meanwhile
    await ask(it.port, '');
    const { port } = first;
    await first.close();
    await ask(it.port, '');
    await using back = await TcpTarget.start(says('back'), '127.0.0.1', port);

    expect(await ask(it.port, '')).toBe('back');
    expect(back.accepted).toBe(1);
  });

  test('probes each, says which one fails, and leads clients past it', async () => {
    await using wrong = await TcpTarget.start(says('-ERR\r\n'));
    await using right = await TcpTarget.start(says('+OK ready\r\n'));
    await using it = await aRelay([wrong.endpoint, right.endpoint], { plan: { expect: { kind: 'pop3' } } });

    await eventually(() => it.forward.facts.health === 'failing' && it.notes.length === 1);

    expect(it.notes[0]?.message).toContain(`The service at 127.0.0.1:${wrong.port} is failing`);
    const why = `Cannot see pop3 at 127.0.0.1:${wrong.port}: it said "-ERR"`;
    expect(it.forward.facts.healthError?.message).toBe(why);
    expect(await ask(it.port, '')).toBe('+OK ready\r\n');
  });
});

describe('the PROXY protocol of a relay', () => {
  test.each(['v1', 'v2'] as const)('%s goes before the first byte of the client', async (proxyProtocol) => {
    const chunks: Buffer[] = [];
    await using target = await TcpTarget.start((socket) => {
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('end', () => socket.end());
    });
    await using it = await aRelay([target.endpoint], { plan: { proxyProtocol } });

    const socket = await client(it.port);
    const { localPort = 0 } = socket;
    socket.end('hello');
    await transcript(socket);

    const heard = Buffer.concat(chunks);
    if (proxyProtocol === 'v1') {
      expect(heard.toString()).toBe(`PROXY TCP4 127.0.0.1 127.0.0.1 ${localPort} ${it.port}\r\nhello`);
    } else {
      // The protocol's section 2.2: signature, version 2 and PROXY, TCP over IPv4, 12 bytes of addresses and ports.
      const [from, to] = [localPort, it.port].map((port) => port.toString(16).padStart(4, '0'));
      const header = `0d0a0d0a000d0a515549540a 21 11 000c 7f000001 7f000001 ${from} ${to}`.replaceAll(' ', '');
      expect(heard.toString('hex')).toBe(`${header}${Buffer.from('hello').toString('hex')}`);
    }
  });

  test('says of a probe that it is our own', async () => {
    const heard: string[] = [];
    await using target = await TcpTarget.start((socket) => socket.on('data', (chunk) => heard.push(chunk.toString())));
    await using it = await aRelay([target.endpoint], { plan: { proxyProtocol: 'v1', expect: { kind: 'ssh' } } });

    await eventually(() => heard.length > 0);

    expect(heard.join('')).toBe('PROXY UNKNOWN\r\n');
    expect(it.forward.facts.health).toBeNull();
  });
});

test('what speaks SSH is never loaded for relays alone', async () => {
  await using target = await TcpTarget.start(says('served'));
  const plan = await planOfProfile(
    { forwards: [{ kind: 'relay', bind: ANY_PORT, targets: [target.endpoint] }] },
    'gate',
  );
  let loads = 0;
  const engine = composeEngine({
    loadDial: () => Promise.reject(new Error(`loaded ${(loads += 1)} times`)),
    loadMapper: () => Promise.reject(new Error('no forward here has a mapping')),
  });
  const supervisor = new TunnelSupervisor({ ...compose({ log: false }), ...engine, store: noStore });
  await supervisor.start(plan);

  const bind = await eventually(() =>
    supervisor.snapshot().tunnels[0]?.state === 'up' ? bindOf(supervisor) : undefined,
  );
  const answer = await ask(Number(/\d+$/.exec(bind)?.[0]), '');
  const [status] = supervisor.snapshot().tunnels;
  await supervisor.close(0);

  expect(answer).toBe('served');
  expect(status).toMatchObject({ state: 'up', via: null, lastError: null, forwards: [{ kind: 'relay', state: 'up' }] });
  expect(loads).toBe(0);
});

const noStore = { load: () => Promise.resolve({ memory: NOTHING_REMEMBERED }), save: () => Promise.resolve() };

function bindOf(supervisor: TunnelSupervisor): string | undefined {
  return supervisor.snapshot().tunnels[0]?.forwards[0]?.bind;
}
