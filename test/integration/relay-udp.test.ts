import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ListeningSockets } from '../../src/forward/listen/listening-sockets.ts';
import { heldMb } from '../support/held-memory.ts';
import { eventually } from '../support/eventually.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ANY_PORT } from '../support/forward-fixture.ts';
import { aRelay, deadUdpPort, UdpClient, UdpTarget, type RelayWishes } from '../support/relay-fixture.ts';
import { standingStill } from '../support/standing-still.ts';
import { unhurriedSearch } from '../support/unhurried.ts';

const udp = (wishes: RelayWishes = {}): RelayWishes => ({ ...wishes, plan: { protocol: 'udp', ...wishes.plan } });

/** A service that sends back what it gets, and prints its port. */
const SILENT_TARGET = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', (datagram, from) => socket.send(datagram, from.port, from.address));
  socket.bind(0, '127.0.0.1', () => console.log(socket.address().port));
`;

describe('a UDP relay', () => {
  test('carries datagrams as they are, each client by a port of its own', async () => {
    await using target = await UdpTarget.start();
    await using it = await aRelay([target.endpoint], udp());
    using one = new UdpClient(it.port);
    using other = new UdpClient(it.port);

    one.send('first');
    one.send('');
    other.send('other');
    await eventually(() => one.heard.length === 2 && other.heard.length === 1);

    expect({ one: [...one.heard].sort(), other: other.heard }).toEqual({ one: ['', 'first'], other: ['other'] });
    expect(target.peers.size).toBe(2);
    expect(it.forward.facts).toMatchObject({
      kind: 'relay',
      listening: true,
      openConnections: 2,
      totalConnections: 2,
      receivedBytes: 10,
      sentBytes: 10,
    });
  });

  test('listens at localhost in both families, with one port', async () => {
    await using target = await UdpTarget.start();
    await using it = await aRelay([target.endpoint], udp({ plan: { bind: { ...ANY_PORT, host: 'localhost' } } }));
    using four = new UdpClient(it.port, '127.0.0.1');
    using six = new UdpClient(it.port, '::1');

    four.send('4');
    six.send('6');

    await eventually(() => four.heard[0] === '4' && six.heard[0] === '6');
  });

  test('forgets a client after the idle time, and not while something comes', async () => {
    const clock = new FakeClock();
    await using target = await UdpTarget.start();
    await using it = await aRelay([target.endpoint], udp({ clock, plan: { idleMs: 10_000 } }));
    using client = new UdpClient(it.port);
    const say = async (text: string): Promise<void> => {
      client.send(text);
      await eventually(() => client.heard.at(-1) === text);
    };

    await say('a');
    await clock.advance(9_000);
    await say('b');
    await clock.advance(9_000);
    const before = it.forward.facts.openConnections;
    await clock.advance(1_001);
    const after = it.forward.facts.openConnections;
    await say('c');

    expect([before, after]).toEqual([1, 0]);
    expect(it.records).toMatchObject([{ end: 'done', receivedBytes: 2, sentBytes: 2, durationMs: 19_000 }]);
    expect(it.forward.facts).toMatchObject({ openConnections: 1, totalConnections: 2, receivedBytes: 3, sentBytes: 3 });
  });

  test('keeps a bounded number of clients, and those of the `allow` list alone', async () => {
    await using target = await UdpTarget.start();
    await using few = await aRelay([target.endpoint], udp({ limits: { connections: 1, perClient: 1 } }));
    await using none = await aRelay([target.endpoint], udp({ plan: { allow: ['10.0.0.0/8'] } }));
    using first = new UdpClient(few.port);
    using second = new UdpClient(few.port);
    using stranger = new UdpClient(none.port);

    first.send('1');
    await eventually(() => first.heard.length === 1);
    second.send('2');
    stranger.send('3');
    await eventually(() => few.notes.length === 1 && none.notes.length === 1);
    first.send('4');
    await eventually(() => first.heard.length === 2);

    expect(few.notes).toMatchObject([{ level: 'warn', code: 'LIMIT_REACHED' }]);
    expect(none.notes[0]?.message).toContain('the address is not in `allow`');
    expect(target.heard.map(String)).toEqual(['1', '4']);
  });

  test('goes to the next target when the first one refuses, and back after a while', async () => {
    const clock = new FakeClock();
    const dead = await deadUdpPort();
    await using second = await UdpTarget.start();
    await using it = await aRelay([dead, second.endpoint], udp({ clock }));
    using client = new UdpClient(it.port);

    client.send('lost');
    await eventually(() => it.notes.length === 2);
    client.send('again');
    await eventually(() => client.heard[0] === 'again');
    await clock.advance(5_000);
    await eventually(() => it.notes.length === 3);

    const refused = `Cannot connect to 127.0.0.1:${dead.port}: Connection refused`;
    expect(it.notes.map(({ message }) => message)).toEqual([
      refused,
      `Target 127.0.0.1:${dead.port} is skipped until it answers: ${refused}`,
      `Target 127.0.0.1:${dead.port} answers again`,
    ]);
    expect(it.records).toMatchObject([{ end: 'TARGET_REFUSED', sentBytes: 4, receivedBytes: 0 }]);
  });

  test('round-robin leads each new client to the next target, and keeps it there', async () => {
    const says = (name: string) => () => Buffer.from(name);
    await using first = await UdpTarget.start(says('first'));
    await using second = await UdpTarget.start(says('second'));
    await using it = await aRelay(
      [first.endpoint, second.endpoint],
      udp({ plan: { protocol: 'udp', choose: 'round-robin' } }),
    );

    const heard: string[][] = [];
    for (let number = 0; number < 4; number += 1) {
      using client = new UdpClient(it.port);
      for (const words of ['once', 'twice']) {
        client.send(words);
        await eventually(() => client.heard.length === (words === 'once' ? 1 : 2));
      }
      heard.push([...client.heard]);
    }

    expect(heard).toEqual([
      ['first', 'first'],
      ['second', 'second'],
      ['first', 'first'],
      ['second', 'second'],
    ]);
  });

  test('a target that reads nothing costs no memory, and is heard again once it reads', async () => {
    const target = spawn(process.execPath, ['-e', SILENT_TARGET], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void target.kill('SIGKILL'));
    const [said] = (await once(target.stdout, 'data')) as [Buffer];
    await using it = await aRelay([{ ...ANY_PORT, port: Number(said) }], udp());
    using client = new UdpClient(it.port);
    client.send('are you there?');
    await eventually(() => client.heard.length === 1);
    target.kill('SIGSTOP');
    await standingStill(target.pid ?? 0);
    const before = await heldMb();

    const datagram = 'x'.repeat(32 * 1024);
    for (let number = 0; number < 4_096; number += 1) await client.sent(datagram);
    // Of 134 MB that were sent. What a collection frees is given back by a thread of its own, in its own time.
    await eventually(async () => (await heldMb()) - before < 8);
    target.kill('SIGCONT');
    await eventually(() => (client.send('and now?'), client.heard.includes('and now?')));
  });

  test('tells the target who is calling, in each datagram', async () => {
    await using target = await UdpTarget.start(() => undefined);
    await using it = await aRelay([target.endpoint], udp({ plan: { proxyProtocol: 'v2' } }));
    using client = new UdpClient(it.port);

    client.send('hello');
    const datagram = await eventually(() => target.heard[0]);

    expect(datagram.subarray(0, 16).toString('hex')).toBe('0d0a0d0a000d0a515549540a2112000c');
    expect(datagram.readUInt16BE(24)).toBe(client.port);
    expect(datagram.subarray(28).toString()).toBe('hello');
  });

  describe('with `expect`', () => {
    const PING = { kind: 'datagram', send: 'ping\xff', match: '^pong' } as const;
    const answers = (words: string | undefined) => () => (words === undefined ? undefined : Buffer.from(words));

    test('asks its service, says when it is failing, and leads new clients to one that is well', async () => {
      await using ill = await UdpTarget.start(answers('what?'));
      await using well = await UdpTarget.start(answers('pong'));
      await using it = await aRelay([ill.endpoint, well.endpoint], udp({ plan: { protocol: 'udp', expect: PING } }));
      using client = new UdpClient(it.port);

      // A question is asked again each second until its answer has been read.
      await eventually(() => it.forward.facts.health === 'failing' && well.heard.length > 0);
      client.send('hello');
      await eventually(() => client.heard.length === 1);

      expect(client.heard).toEqual(['pong']);
      const ping = Buffer.from('ping\xff', 'latin1');
      expect(ill.heard).toEqual(ill.heard.map(() => ping));
      expect([ill.heard[0], well.heard[0]]).toEqual([ping, ping]);
      expect(it.notes).toMatchObject([{ level: 'warn', code: 'SERVICE_UNHEALTHY' }]);
      const why = `Cannot see the expected answer at 127.0.0.1:${ill.endpoint.port}: it said "what?"`;
      expect(it.notes[0]?.message).toContain(why);
      expect(it.forward.facts.healthError?.message).toBe(why);
      expect(it.forward.facts).toMatchObject({ openConnections: 1, totalConnections: 1 });
    });

    test('asks again when a question was lost, and is well once there is an answer', async () => {
      let asked = 0;
      await using target = await UdpTarget.start(() => (++asked === 1 ? undefined : Buffer.from('any')));
      await using it = await aRelay(
        [target.endpoint],
        udp({ plan: { protocol: 'udp', proxyProtocol: 'v2', expect: { ...PING, match: null } } }),
      );

      await eventually(() => it.forward.facts.health === 'ok');

      const local = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex'); // a question of our own
      const question = Buffer.concat([local, Buffer.from('ping\xff', 'latin1')]);
      expect(target.heard.length).toBeGreaterThanOrEqual(2); // one more where the answer was read late
      expect(target.heard).toEqual(target.heard.map(() => question));
    });

    test('says at once that nobody listens', async () => {
      const dead = await deadUdpPort();
      await using it = await aRelay([dead], udp({ plan: { protocol: 'udp', expect: PING } }));

      await eventually(() => it.forward.facts.health === 'failing');

      expect(it.notes).toMatchObject([{ code: 'TARGET_REFUSED' }]);
    });
  });

  test('names the forward of another tunnel that has its port', async () => {
    const sockets = new ListeningSockets();
    await using target = await UdpTarget.start();
    const has = sockets.ownedBy({ tunnel: 'dns', forward: 'resolver' });
    const wants = sockets.ownedBy({ tunnel: 'lab', forward: 'relay' });
    await using holder = await aRelay([target.endpoint], udp({ sockets: has }));
    const bind = { ...ANY_PORT, port: holder.port };
    await using it = await aRelay([target.endpoint], udp({ plan: { bind }, sockets: wants }));

    expect(it.forward.facts.error?.message).toContain('(held by the forward resolver of dns)');
  });

  test('says who holds its port, and binds once it is free', async () => {
    unhurriedSearch();
    const clock = new FakeClock();
    await using target = await UdpTarget.start();
    const holder = await UdpTarget.start();
    await using it = await aRelay([target.endpoint], udp({ clock, plan: { bind: holder.endpoint } }));

    const { listening, error } = it.forward.facts;
    await holder[Symbol.asyncDispose]();
    await clock.advance(2_000);
    await eventually(() => it.forward.facts.listening);

    expect({ listening, code: error?.code }).toEqual({ listening: false, code: 'BIND_IN_USE' });
    expect(error?.message).toContain('held by this process itself');
    expect(it.forward.facts.error).toBeNull();
  });
});
