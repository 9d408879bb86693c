import { randomBytes } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Transport } from '../../src/link/transport.ts';
import type { TunnelError } from '../../src/model/failure.ts';
import { wireString, wireUint32, WireReader } from '../../src/model/wire.ts';
import { createDial } from '../../src/ssh/dial.ts';
import { eventually, observes } from '../support/eventually.ts';
import { message, MSG, type HostilePeer } from '../support/hostile-peer.ts';
import { hostileServer, type HostileServer } from '../support/hostile-server.ts';
import { aDial, ALWAYS, aRequest, failureOf, listenTo, NOBODY } from '../support/ssh-dial.ts';

/** Far more than anything here takes, on a busy machine too: only what is to run out is short. */
const AMPLE = { connectMs: 20_000, loginMs: 20_000, channelMs: 20_000 };
/** Long enough that the server has been heard by then, whatever else this machine does. */
const LIMIT_MS = 4_000;
const TARGET = { kind: 'tcp', host: 'pop.example.org', port: 110 } as const;

type Script = (peer: HostilePeer) => Promise<void>;

/** What a dial to a server with that script fails with. */
async function failureAt(script: Script, limits: Partial<typeof AMPLE> = {}): Promise<TunnelError> {
  await using server = await hostileServer(script);
  const timeouts = { ...AMPLE, ...limits };
  return await failureOf(aDial()(aRequest([server.hop], {}, { timeouts }).request)); // the server lives until then
}

async function connected(server: HostileServer, limits: Partial<typeof AMPLE> = {}): Promise<Transport> {
  const timeouts = { ...AMPLE, ...limits };
  const transport = await aDial()(aRequest([server.hop], {}, { timeouts }).request);
  onTestFinished(() => transport.close());
  return transport;
}

/** What a connection that was logged in ends with, and how long its end took to come. */
async function lossAt(script: Script, use: (transport: Transport) => void = () => undefined): Promise<TunnelError> {
  await using server = await hostileServer(async (peer) => {
    await peer.admit();
    await script(peer);
  });
  const transport = await connected(server);
  const lost = new Promise<TunnelError>((resolve) => transport.onClosed(resolve));
  use(transport);
  return await lost;
}

const open = (transport: Transport) => transport.openDirect(TARGET, NOBODY, ALWAYS);
/** More than ssh2 takes before it widens a window of 2 MiB. */
const pourHalfWindow = async (peer: HostilePeer, channel: number) => {
  for (let count = 0; count < 40; count += 1) await peer.pour(data(channel, Buffer.alloc(32_000)));
};
const data = (channel: number, bytes: Buffer | string) =>
  message(MSG.channelData, wireUint32(channel), wireString(bytes));

describe('a server that is silent is given up in time, and the phase is named', () => {
  test.concurrent.each<[string, Script, string, string]>([
    [
      'before it says who it is',
      (peer) => peer.ended(),
      'CONNECT_TIMEOUT',
      'Cannot connect to .*: it did not say who it is within 4 s',
    ],
    [
      'after it said who it is',
      async (peer) => {
        await peer.greet();
        await peer.ended();
      },
      'CONNECT_TIMEOUT',
      'Cannot connect to .*: the key exchange did not end within 4 s',
    ],
    [
      'in the key exchange',
      async (peer) => {
        await peer.greet();
        peer.send(peer.kexInit());
        await peer.ended();
      },
      'CONNECT_TIMEOUT',
      'Cannot connect to .*: the key exchange did not end within 4 s',
    ],
    [
      'before its NEWKEYS',
      async (peer) => {
        await peer.greet();
        await peer.exchange();
        await peer.ended();
      },
      'CONNECT_TIMEOUT',
      'Cannot connect to .*: the key exchange did not end within 4 s',
    ],
    [
      'after NEWKEYS',
      async (peer) => {
        await peer.greet();
        await peer.exchange();
        peer.newKeys();
        await peer.ended();
      },
      'LOGIN_TIMEOUT',
      'Cannot log in to .*: no answer within 4 s',
    ],
    [
      'in the login',
      async (peer) => {
        await peer.begin();
        await peer.ended();
      },
      'LOGIN_TIMEOUT',
      'Cannot log in to .*: no answer within 4 s',
    ],
  ])('%s', async (_, script, code, words) => {
    const failure = await failureAt(script, code === 'LOGIN_TIMEOUT' ? { loginMs: LIMIT_MS } : { connectMs: LIMIT_MS });

    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(new RegExp(words));
  });

  test('when a channel is opened: that fails, and the connection goes on', async () => {
    await using server = await hostileServer(async (peer) => {
      await peer.admit();
      await peer.expect(MSG.channelOpen);
      const channel = await peer.confirm();
      peer.send(data(channel, 'second'));
    });
    const transport = await connected(server, { channelMs: LIMIT_MS });

    expect(await failureOf(open(transport))).toMatchObject({ code: 'CHANNEL_TIMEOUT' });
    const second = listenTo(await open(transport));
    await eventually(() => second.text() === 'second');
  });
});

describe('before the key exchange', () => {
  test('lines without end are read no further than 64 KiB', async () => {
    const failure = await failureAt(async (peer) => {
      while (!peer.socket.destroyed) {
        if (!peer.raw('welcome\r\n'.repeat(1_000))) await new Promise((resolve) => setImmediate(resolve));
      }
    });
    expect(failure).toMatchObject({ code: 'NOT_SSH', message: expect.stringContaining('welcome') as string });
  });

  test('a line without end is read no further than its limit', async () => {
    const failure = await failureAt(async (peer) => {
      peer.raw(`SSH-2.0-${'x'.repeat(20_000)}`);
      await peer.ended();
    });
    expect(failure.code).not.toBe('CONNECT_TIMEOUT');
  });

  test('what a terminal would act on is shown, and does nothing', async () => {
    const failure = await failureAt((peer) => {
      peer.socket.end('\u001b]0;owned\u0007\u009b31mHTTP/1.1 400\r\n\r\n');
      return peer.ended();
    });
    expect(failure).toMatchObject({ code: 'NOT_SSH' });

    expect(failure.message).not.toMatch(/[\0-\x1f\x7f-\x9f]/);
  });

  // ssh2 forgot the second of three pieces, so that a path with small packets failed each connection.
  test('an identification that comes byte by byte is understood', async () => {
    await using server = await hostileServer(async (peer) => {
      for (const sign of 'a word before\r\nSSH-2.0-hostile_1.0\r\n') {
        peer.raw(sign);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await peer.hear();
      await peer.exchange();
      peer.newKeys();
      await peer.theirNewKeys();
      await peer.expect(5);
      peer.send(message(MSG.serviceAccept, wireString('ssh-userauth')));
      await peer.expect(MSG.userauthRequest);
      peer.send(message(MSG.userauthSuccess));
    });
    expect((await connected(server)).facts.serverVersion).toBe('hostile_1.0');
  });
});

describe('in the key exchange', () => {
  test.each<[string, Script, string]>([
    [
      'a packet of 4 GiB is not waited for',
      async (peer) => {
        await peer.greet();
        peer.raw(Buffer.from('ffffffff0000000000', 'hex'));
        await peer.ended();
      },
      'oversized packet',
    ],
    [
      'a key that it cannot sign with is not its own',
      async (peer) => {
        await peer.greet();
        await peer.exchange({}, { signature: true });
        peer.newKeys();
        await peer.ended();
      },
      'could not prove that it owns its host key',
    ],
    [
      'a host key that is none is refused',
      async (peer) => {
        await peer.greet();
        await peer.exchange({}, { hostKey: randomBytes(50) });
        await peer.ended();
      },
      'the SSH protocol was broken',
    ],
    [
      'a message slipped in before it is not taken (strict key exchange)',
      async (peer) => {
        await peer.greet();
        peer.send(message(MSG.ignore, wireString('')));
        await peer.exchange();
        await peer.ended();
      },
      'not first packet in strict KEX mode',
    ],
    [
      'a message slipped into it is not taken (strict key exchange)',
      async (peer) => {
        await peer.greet();
        peer.send(peer.kexInit());
        peer.send(message(MSG.ignore, wireString('')));
        await peer.ended();
      },
      'unexpected packet',
    ],
    [
      'keys are not changed before they are there',
      async (peer) => {
        await peer.greet();
        peer.send(peer.kexInit());
        peer.newKeys();
        await peer.ended();
      },
      'the SSH protocol was broken',
    ],
    [
      'a second KEXINIT is one too many',
      async (peer) => {
        await peer.greet();
        peer.send(peer.kexInit(), peer.kexInit());
        await peer.ended();
      },
      'extra KEXINIT',
    ],
    [
      'a login is not believed',
      async (peer) => {
        await peer.greet();
        peer.send(peer.kexInit(), message(MSG.userauthSuccess));
        await peer.ended();
      },
      'unexpected packet type 52|before its host key was accepted',
    ],
    [
      'a flipped byte after NEWKEYS is noticed',
      async (peer) => {
        await peer.greet();
        await peer.exchange();
        peer.newKeys();
        const packet = peer.packet(message(MSG.ignore, wireString('x'.repeat(100))));
        packet.writeUInt8(packet.readUInt8(40) ^ 1, 40);
        peer.raw(packet);
        await peer.ended();
      },
      'damaged or forged|the SSH protocol was broken',
    ],
  ])('%s', async (_, script, words) => {
    const failure = await failureAt(script);

    expect(['HANDSHAKE_FAILED', 'CONNECTION_LOST']).toContain(failure.code);
    expect(failure.message).toMatch(new RegExp(words));
  });

  test('names without end are compared, and there is none in common', async () => {
    const failure = await failureAt(async (peer) => {
      await peer.greet();
      peer.send(peer.kexInit({ kex: 'x,'.repeat(16_000) }));
      await peer.ended();
    });
    expect(failure).toMatchObject({ code: 'NO_COMMON_ALGORITHM' });
  });

  test('it ends wherever it is cut, in words and at once', { timeout: 30_000 }, async () => {
    for (let bytes = 0; bytes < 900; bytes += 53) {
      const failure = await failureAt(async (peer) => {
        const write = peer.socket.write.bind(peer.socket);
        let left = bytes;
        peer.socket.write = (chunk: Buffer | string) => {
          const part = Buffer.from(chunk).subarray(0, left);
          left -= part.length;
          write(part);
          if (left === 0) peer.socket.end();
          return true;
        };
        await peer.greet();
        await peer.exchange();
        peer.newKeys();
        peer.socket.end();
      });
      expect(['HANDSHAKE_FAILED', 'CONNECTION_LOST', 'NOT_SSH']).toContain(failure.code);
      expect(failure.message).toMatch(/^Cannot (connect|log in) to /);
    }
  });
});

/**
 * The host says "you are logged in" right after its NEWKEYS, while the answer about its key is still awaited. ssh2 believed
 * it, and what the tunnel's clients sent then went out in clear text, to whoever had answered.
 */
describe('a host whose key was not accepted yet', () => {
  const impostor =
    (...said: readonly Buffer[]): Script =>
    async (peer) => {
      await peer.greet();
      await peer.exchange();
      peer.newKeys();
      peer.send(...said);
      await peer.ended();
    };

  test('is not logged in to, although it says so: a changed key', async () => {
    await using server = await hostileServer(impostor(message(MSG.userauthSuccess)));
    const hop = { ...server.hop, hostKey: { kind: 'fingerprint', fingerprints: ['SHA256:another'] } } as const;

    const failure = await failureOf(aDial()(aRequest([hop], {}, { timeouts: AMPLE }).request));

    expect(['HOST_KEY_CHANGED', 'HANDSHAKE_FAILED']).toContain(failure.code);
  });

  test.each([
    ['a login', message(MSG.userauthSuccess)],
    ['a service', message(MSG.serviceAccept, wireString('ssh-userauth'))],
    ['a channel', message(MSG.channelOpen, wireString('session'), ...[1, 1, 1].map(wireUint32))],
  ])('gets not a word more from us: %s, while a person looks at its key', async (_, said) => {
    await using server = await hostileServer(impostor(said));
    const hop = { ...server.hop, hostKey: { kind: 'strict' } } as const;
    const ask = (_question: unknown, signal: AbortSignal) =>
      new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

    const failure = await failureOf(aDial()(aRequest([hop], {}, { timeouts: AMPLE, ask }).request));

    // The second, where the lie was heard before the question stood: then nobody has to be asked again.
    expect(['NEEDS_PERSON', 'HANDSHAKE_FAILED']).toContain(failure.code);
    expect(failure.message).toContain('before its host key was accepted');
    expect(server.peers[0]?.unread.toString('latin1')).not.toContain('ssh-connection');
  });
});

describe('in the login', () => {
  test.each<[string, Buffer]>([
    ['a channel', message(MSG.channelOpen, wireString('session'), ...[1, 1, 1].map(wireUint32))],
    ['a global request', message(MSG.globalRequest, wireString('x'), Buffer.of(1))],
  ])('%s ends it', async (_, said) => {
    const failure = await failureAt(async (peer) => {
      await peer.begin();
      peer.send(said);
      await peer.ended();
    });
    expect(failure.message).toMatch(/^Cannot log in to .*before the login/);
  });

  test('two billion questions are not made room for', async () => {
    const before = process.memoryUsage().rss;
    const failure = await failureAt(async (peer) => {
      await peer.begin();
      const first = new WireReader((await peer.expect(MSG.userauthRequest)).subarray(1));
      expect([first.text(), first.text(), first.text()]).toEqual(['tester', 'ssh-connection', 'none']);
      peer.send(message(MSG.userauthFailure, wireString('keyboard-interactive'), Buffer.of(0)));
      await peer.expect(MSG.userauthRequest);
      const texts = ['', '', ''].map(wireString);
      peer.send(message(MSG.userauthInfoRequest, ...texts, wireUint32(30_000_000)));
      await peer.ended();
    });
    expect(failure.message).toContain('more questions announced than asked');
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 ** 2);
  });

  test('a success in part for ever ends by itself', async () => {
    const failure = await failureAt(async (peer) => {
      await peer.begin();
      for (;;) {
        await peer.expect(MSG.userauthRequest);
        peer.send(message(MSG.userauthFailure, wireString('publickey,password,keyboard-interactive'), Buffer.of(1)));
      }
    });
    expect(['LOGIN_REFUSED', 'NEEDS_PERSON']).toContain(failure.code);
  });

  test.each<[string, Buffer]>([
    ['announces more extensions than there are', message(MSG.extInfo, wireUint32(2 ** 32 - 1))],
    ['names an algorithm of nobody', extension('server-sig-algs', 'x'.repeat(30_000))],
    ['is empty', message(MSG.extInfo, wireUint32(0))],
  ])('an EXT_INFO that %s does no harm', async (_, said) => {
    await using server = await hostileServer(async (peer) => {
      await peer.begin();
      peer.send(said, said);
      await peer.expect(MSG.userauthRequest);
      peer.send(message(MSG.userauthSuccess));
    });
    const dialled = aDial()(aRequest([server.hop], {}, { timeouts: AMPLE }).request);
    const ended = await dialled.then(
      (transport) => (transport.close(), 'connected'),
      (error: unknown) => String(error),
    );
    expect(ended).toMatch(/^connected$|Cannot log in to .*EXT_INFO/);
  });

  test('a text of farewell is shown, and does nothing', async () => {
    const failure = await failureAt(async (peer) => {
      await peer.begin();
      const text = '\u001b[2J\u001b]52;c;cm0gLXJm\u0007\r\nforged line \u202e\u0085 bye';
      peer.send(message(MSG.disconnect, wireUint32(11), wireString(text), wireString('')));
      await peer.ended();
    });

    expect(failure.message).not.toMatch(/[\0-\x1f\x7f-\x9f\u202a-\u202e]/);
    expect(failure.message).toContain('forged line');
  });
});

describe('on a channel', () => {
  // ssh2 sent empty packets for ever, and nothing else in the supervisor ran any more.
  test.each([0, 1])('packets of at most %i bytes end the connection, and not us', async (packet) => {
    const lost = await lossAt(
      async (peer) => void (await peer.confirm({ packet })),
      (transport) =>
        void open(transport).then(
          (channel) => channel.write(Buffer.alloc(1_000)),
          () => undefined,
        ),
    );
    expect(lost).toMatchObject({ code: 'CONNECTION_LOST' });
    expect(lost.message).toContain('packets of next to no bytes');
  });

  test('a window of nothing holds the sender back, and the channel can be given up', async () => {
    await using server = await hostileServer(async (peer) => {
      await peer.admit();
      await peer.confirm({ window: 0 });
      await peer.expect(MSG.channelClose);
      peer.send(message(MSG.disconnect, wireUint32(11), wireString('closed'), wireString('')));
    });
    const transport = await connected(server);
    const lost = new Promise<TunnelError>((resolve) => transport.onClosed(resolve));
    const channel = await open(transport);
    listenTo(channel);

    expect(channel.write(Buffer.alloc(10))).toBe(false);
    channel.abort();
    expect((await lost).message).toContain('the server says closed');
  });

  test('a window that is opened beyond all measure is only a wide one', async () => {
    await using server = await hostileServer(async (peer) => {
      await peer.admit();
      const channel = await peer.confirm({ window: 2 ** 32 - 1 });
      for (let count = 0; count < 5; count += 1)
        peer.send(message(MSG.channelWindowAdjust, wireUint32(channel), wireUint32(2 ** 32 - 1)));
      const sent = new WireReader((await peer.expect(MSG.channelData)).subarray(5)).text();
      peer.send(data(channel, sent));
    });
    const channel = await open(await connected(server));
    const heard = listenTo(channel);
    channel.write(Buffer.from('there and back'));
    await eventually(() => heard.text() === 'there and back');
  });

  // ssh2 queues what is sent meanwhile, whole windows of it, and all of that stood before each word afterwards.
  test('who sends much waits while keys are exchanged, and goes on afterwards', async () => {
    const [chunk, count] = [Buffer.alloc(65_536), 8];
    let [offered, finish, received] = [false, (): void => undefined, 0];
    const finished = new Promise<void>((resolve) => (finish = resolve));
    await using server = await hostileServer(async (peer) => {
      await peer.admit();
      for (let opened = 0; opened < count; opened += 1) await peer.confirm();
      await peer.offerKeys();
      offered = true;
      await finished;
      peer.send(await peer.reply());
      peer.newKeys();
      await peer.theirNewKeys();
      for (;;) received += (await peer.expect(MSG.channelData)).length - 9;
    });
    const transport = await connected(server);
    const channels = await Promise.all(Array.from({ length: count }, () => open(transport)));
    const heard = channels.map((channel) => listenTo(channel));
    await eventually(() => offered);

    expect(channels.map((channel) => channel.write(chunk))).toEqual(channels.map(() => false));
    finish();
    await eventually(() => heard.every(({ events }) => events.includes('<drain>')));
    await eventually(() => received === count * chunk.length);
  });

  // ssh2 queued it all, and from a window of exactly nothing on it dropped bytes without a word.
  test('more data than the window has room for ends the connection; nothing is queued, nothing dropped', async () => {
    let sent = 0;
    const lost = await lossAt(
      async (peer) => {
        const channel = await peer.confirm();
        const chunk = data(channel, Buffer.alloc(32_000));
        while (!peer.socket.destroyed && sent < 100 * 2 ** 20) {
          sent += 32_000;
          await peer.pour(chunk);
        }
      },
      (transport) => void open(transport).then((channel) => (listenTo(channel), channel.pause())),
    );
    expect(lost.message).toContain('more data than the window has room for');
    expect(sent).toBeLessThan(40 * 2 ** 20);
  });

  // Each was a write of its own to a client that did not read: 240 bytes of memory, and no window bounds how many there are.
  test('data without a byte is nothing to wait for a reader', async () => {
    await using server = await hostileServer(async (peer) => {
      await peer.admit();
      const channel = await peer.confirm();
      peer.send(data(channel, ''), data(channel, 'one'), data(channel, ''), data(channel, ''), data(channel, 'two'));
    });
    const heard = listenTo(await open(await connected(server)));
    await eventually(() => heard.text() === 'onetwo');
    expect(heard.events).toEqual(['one', 'two']);
  });

  // This server names every channel 7, as sshd names each one when no other is open.
  test.each([{}, { channels: false }, { reads: false }, { channels: false, reads: false, windows: false }])(
    'what comes after our CLOSE widens no window: the number may be that of a new channel by then (without %j)',
    async (levers) => {
      const seen: (number | undefined)[] = [];
      await using server = await hostileServer(async (peer) => {
        await peer.admit();
        const first = await peer.confirm();
        await peer.expect(MSG.channelClose);
        await pourHalfWindow(peer, first); // under way when the client closed
        peer.send(
          message(MSG.channelClose, wireUint32(first)),
          message(MSG.globalRequest, wireString('?'), Buffer.of(1)),
        );
        while (seen.at(-1) !== MSG.requestFailure) seen.push((await peer.receive())[0]);
        const second = await peer.confirm();
        await pourHalfWindow(peer, second);
        await peer.expect(MSG.channelWindowAdjust);
        peer.send(data(second, 'and on'));
      });
      const dial = createDial({ readSecret: () => Promise.resolve(undefined), levers });
      const transport = await dial(aRequest([server.hop], {}, { timeouts: AMPLE }).request);
      onTestFinished(() => transport.close());
      (await open(transport)).abort();
      await eventually(() => seen.at(-1) === MSG.requestFailure);
      const second = listenTo(await open(transport));

      await eventually(() => second.text().endsWith('and on'));
      expect(seen).not.toContain(MSG.channelWindowAdjust);
    },
  );

  test('what belongs to no channel, or comes after the end, harms nobody', async () => {
    await using server = await hostileServer(async (peer) => {
      await peer.admit();
      const channel = await peer.confirm();
      const numbers = [99, 2 ** 31];
      for (const number of numbers) {
        const id = wireUint32(number);
        peer.send(data(number, 'lost'), message(MSG.channelWindowAdjust, id, id), message(MSG.channelEof, id));
        peer.send(message(MSG.channelClose, id), message(MSG.channelOpenConfirmation, id, id, id, wireUint32(32_768)));
        peer.send(message(MSG.channelRequest, id, wireString('exit-status'), Buffer.of(1), id));
      }
      peer.send(message(MSG.requestFailure), message(MSG.requestSuccess), message(200, Buffer.from('what?')));
      peer.send(message(MSG.userauthFailure, wireString('password'), Buffer.of(0)), message(MSG.userauthSuccess));
      peer.send(data(channel, 'all is well'));
    });
    const transport = await connected(server);
    const heard = listenTo(await open(transport));
    await eventually(() => heard.text() === 'all is well');
    expect(heard.events.filter((event) => event === '<closed>')).toEqual([]);
  });

  test.each([['before anybody reads', false] as const, ['to a reader', true] as const])(
    'data after its EOF is dropped, %s, and harms nobody',
    async (_when, read) => {
      await using server = await hostileServer(async (peer) => {
        await peer.admit();
        const first = await peer.confirm();
        if (read) await peer.expect(MSG.channelData);
        peer.send(data(first, 'whole'), message(MSG.channelEof, wireUint32(first)), data(first, 'more'));
        const second = await peer.confirm();
        peer.send(data(second, 'the next one'));
      });
      const transport = await connected(server);
      const channel = await open(transport);
      const first = listenTo(channel);
      if (read) channel.write(Buffer.from('I am here'));
      await eventually(() => first.events.length === 2);
      const second = listenTo(await open(transport));
      await eventually(() => second.text() === 'the next one');

      expect(first.events).toEqual(['whole', '<end>']);
    },
  );
});

describe('what the server asks for', () => {
  test.each(['session', 'x11', 'auth-agent@openssh.com', 'forwarded-tcpip', 'direct-tcpip', '\u001b[31m'])(
    'unasked, a channel of type %j is refused, and the connection goes on',
    async (type) => {
      let reason = 0;
      await using server = await hostileServer(async (peer) => {
        await peer.admit();
        const address = [wireString('127.0.0.1'), wireUint32(22), wireString('127.0.0.1'), wireUint32(9)];
        peer.send(message(MSG.channelOpen, wireString(type), ...[5, 2 ** 20, 32_768].map(wireUint32), ...address));
        const refused = new WireReader((await peer.expect(92)).subarray(1));
        expect(refused.uint32()).toBe(5);
        reason = refused.uint32();
      });
      const transport = await connected(server);
      await eventually(() => reason > 0);
      expect([1, 3]).toContain(reason); // administratively prohibited, unknown channel type (RFC 4254 section 5.1)
      transport.close();
    },
  );

  test('a flood of channels whose refusals it does not read ends the connection', { timeout: 30_000 }, async () => {
    const one = message(MSG.channelOpen, wireString('session'), ...[5, 2 ** 20, 32_768].map(wireUint32));
    const lost = await lossAt(async (peer) => {
      peer.socket.pause();
      while (!peer.socket.destroyed) await peer.pour(...Array.from({ length: 200 }, () => one));
    });
    expect(lost.message).toContain('more requests than it reads answers');
  });

  test('host keys are looked at once for each connection, however often they are named', async () => {
    let proofs = 0;
    await using server = await hostileServer(async (peer) => {
      await peer.admit();
      const named = message(
        MSG.globalRequest,
        ...[wireString('hostkeys-00@openssh.com'), Buffer.of(0), wireString(peer.hostKey.blob)],
      );
      peer.send(...Array.from({ length: 50 }, () => named));
      for (;;) {
        await peer.expect(MSG.globalRequest);
        proofs += 1;
      }
    });
    await connected(server);
    await eventually(() => proofs > 0);
    await observes(100, () => proofs > 1, 'a second proof');
  });

  test('their proof is answered at once: a server with Nagle would keep the first byte back until the kernel acknowledges it', async () => {
    let answered = false;
    await using server = await hostileServer(async (peer) => {
      await peer.admit();
      const named = [wireString('hostkeys-00@openssh.com'), Buffer.of(0), wireString(peer.hostKey.blob)];
      peer.send(message(MSG.globalRequest, ...named));
      await peer.expect(MSG.globalRequest);
      peer.send(message(MSG.requestSuccess, wireString(wireString('ssh-ed25519'))));
      await peer.expect(MSG.ignore);
      answered = true;
      await peer.ended();
    });
    await connected(server);
    await eventually(() => answered);
  });
});

function extension(name: string, value: string): Buffer {
  return message(MSG.extInfo, wireUint32(1), wireString(name), wireString(value));
}
