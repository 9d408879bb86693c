import type { Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { dialLocal } from '../../src/forward/reach/dial.ts';
import { probeService, type ProbeResult } from '../../src/forward/reach/probe.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { Expectation } from '../../src/model/plan.ts';
import { eventually } from '../support/eventually.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { aStartedForward } from '../support/forward-fixture.ts';
import { LocalCarrier } from '../support/local-carrier.ts';
import { TcpTarget } from '../support/tcp-target.ts';
import { TLS_CERTIFICATE, TLS_KEY } from '../support/tls-identity.ts';

const within = (timeoutMs: number): AbortSignal => AbortSignal.timeout(timeoutMs);
/** Without a signal of its own it never ends by the clock: whatever it finds, it found by itself. */
const probe = (
  target: Endpoint,
  expectation: Expectation,
  signal = new AbortController().signal,
): Promise<ProbeResult> => probeService((stop) => dialLocal(target, stop), expectation, signal, target);

/** A service that says this at once, then answers nothing and ends with its client. */
const greets = (words: string) => (socket: Socket) => {
  socket.write(words);
  socket.on('end', () => socket.end()).resume();
};

const rows: readonly (readonly [Expectation, string, string | false])[] = [
  [{ kind: 'tcp' }, '', ''],
  [{ kind: 'pop3' }, '+OK mail ready\r\n', '+OK mail ready'],
  [{ kind: 'pop3' }, '-ERR busy\r\n', false],
  [{ kind: 'imap' }, '* OK [CAPABILITY IMAP4rev1] hi\r\n', '* OK [CAPABILITY IMAP4rev1] hi'],
  [{ kind: 'imap' }, '* PREAUTH hi\r\n', '* PREAUTH hi'],
  [{ kind: 'imap' }, '* BYE full\r\n', false],
  [{ kind: 'smtp' }, '220-mail\r\n220 ready\r\n', '220-mail'],
  [{ kind: 'smtp' }, '554 no\r\n', false],
  [{ kind: 'http' }, 'HTTP/1.1 404 Not Found\r\n\r\n', 'HTTP/1.1 404 Not Found'],
  [{ kind: 'http' }, 'HTTP/1.1 503 Service Unavailable\r\n\r\n', false],
  [{ kind: 'ssh' }, 'a notice\r\nSSH-2.0-OpenSSH_9.2\r\n', 'SSH-2.0-OpenSSH_9.2'],
  [{ kind: 'ssh' }, '+OK mail\r\n', false],
  [{ kind: 'banner', pattern: '^hello (\\w+)' }, 'well\nhello there\n', 'hello there'],
  [{ kind: 'banner', pattern: '^hello$' }, 'good bye\n', false],
];

describe('a probe', () => {
  test.each(rows)('for %o of a service that says %j finds %j', async (expectation, words, said) => {
    const ends = said === false; // the wrong service hangs up, so that nothing more can come
    await using target = await TcpTarget.start((socket) => {
      greets(words)(socket);
      if (ends) socket.end();
    });
    const found = await probe(target.endpoint, expectation);
    if (said === false) expect(found).toMatchObject({ health: 'failing', error: { code: 'SERVICE_UNHEALTHY' } });
    else expect(found).toEqual({ health: 'ok', said });
    await eventually(() => target.sockets.size === 0, { what: 'the end of the probe' });
  });

  test('says good-bye as a client of the protocol does', async () => {
    let heard = '';
    await using target = await TcpTarget.start((socket) => {
      greets('+OK\r\n')(socket);
      socket.on('data', (chunk) => (heard += String(chunk)));
    });
    await probe(target.endpoint, { kind: 'pop3' });
    await eventually(() => heard === 'QUIT\r\n' && target.sockets.size === 0);
  });

  test('shows what a stranger said with its control signs made visible', async () => {
    await using target = await TcpTarget.start(greets('\u001b[31mred\u0007\r\n'));
    const found = await probe(target.endpoint, { kind: 'pop3' });
    expect(found.health === 'failing' && found.error.message).toBe(
      `Cannot see pop3 at 127.0.0.1:${target.port}: it said "\\u001b[31mred\\u0007"`,
    );
  });

  test('of a service that stays silent ends with the reason of its signal', async () => {
    await using target = await TcpTarget.start(() => undefined);
    const late = new TunnelError('TIMED_OUT', 'Cannot wait any longer');
    const stop = new AbortController();
    const found = probe(target.endpoint, { kind: 'imap' }, stop.signal);
    await eventually(() => target.sockets.size === 1);
    stop.abort(late);
    expect(await found).toEqual({ health: 'failing', error: late });
    await eventually(() => target.sockets.size === 0);
  });

  test('of a silent service has TIMED_OUT from a signal of the platform', async () => {
    await using target = await TcpTarget.start(() => undefined);
    const found = await probe(target.endpoint, { kind: 'pop3' }, within(50));
    expect(found).toMatchObject({ health: 'failing', error: { code: 'TIMED_OUT' } });
  });

  test('does not read an endless greeting to its end', async () => {
    await using target = await TcpTarget.start((socket) => {
      const pour = (): void => {
        while (!socket.destroyed && socket.write('x'.repeat(1024)));
      };
      socket.on('drain', pour);
      pour();
    });
    expect(await probe(target.endpoint, { kind: 'banner', pattern: 'never' })).toMatchObject({ health: 'failing' });
    await eventually(() => target.sockets.size === 0);
  });

  test('of a target that refuses fails with that', async () => {
    const target = await TcpTarget.start(() => undefined);
    const gone = target.endpoint;
    await target.close();
    expect(await probe(gone, { kind: 'tcp' })).toMatchObject({ health: 'failing', error: { code: 'TARGET_REFUSED' } });
  });

  test('refuses a pattern that no person wrote by hand', async () => {
    await using target = await TcpTarget.start(greets('hello'));
    const pattern = 'a'.repeat(1_001);
    expect(await probe(target.endpoint, { kind: 'banner', pattern })).toMatchObject({ health: 'failing' });
    expect(target.accepted).toBe(0);
  });
});

describe('a probe for tls', () => {
  test('shakes hands and looks at no certificate', async () => {
    const server = createTlsServer({ key: TLS_KEY, cert: TLS_CERTIFICATE });
    server.on('tlsClientError', () => undefined);
    let open = 0;
    server.on('connection', (socket: Socket) => {
      open += 1;
      socket.on('close', () => (open -= 1));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    expect(await probe({ kind: 'tcp', host: '127.0.0.1', port }, { kind: 'tls' })).toEqual({
      health: 'ok',
      said: 'TLSv1.3',
    });
    await eventually(() => open === 0, { what: 'the end of the probe' });
    server.close();
  });

  test('fails at a service that speaks something else', async () => {
    await using target = await TcpTarget.start(greets('+OK mail ready\r\n'));
    expect(await probe(target.endpoint, { kind: 'tls' })).toMatchObject({
      health: 'failing',
      error: { code: 'SERVICE_UNHEALTHY' },
    });
    await eventually(() => target.sockets.size === 0);
  });

  test('fails at a service that hangs up', async () => {
    await using target = await TcpTarget.start((socket) => void socket.end());
    expect(await probe(target.endpoint, { kind: 'tls' })).toMatchObject({
      health: 'failing',
      error: { code: 'SERVICE_UNHEALTHY' },
    });
  });
});

describe('the health of a forward', () => {
  const plan = { expect: { kind: 'pop3' } } as const;

  /** So many probes have come and gone: the clock that ends one may move on. */
  const probed = (target: TcpTarget, times: number): Promise<true> =>
    eventually(() => (target.accepted === times && target.sockets.size === 0) || undefined, { what: `probe ${times}` });

  test('is ok once the service has spoken, and a probe is no connection', async () => {
    await using target = await TcpTarget.start(greets('+OK\r\n'));
    await using it = await aStartedForward(target.endpoint, { plan, clock: new FakeClock() });
    await eventually(() => it.forward.facts.health === 'ok');
    expect(it.forward.facts).toMatchObject({ openConnections: 0, totalConnections: 0, receivedBytes: 0 });
    expect({ records: it.records, notes: it.notes }).toEqual({ records: [], notes: [] });
  });

  test('fails and heals with the service, each told once', async () => {
    const clock = new FakeClock();
    let words = '+OK\r\n';
    await using target = await TcpTarget.start((socket) => greets(words)(socket));
    await using it = await aStartedForward(target.endpoint, { plan, clock });
    await eventually(() => it.forward.facts.health === 'ok');
    words = '-ERR\r\n';
    for (let times = 2; times <= 3; times += 1) {
      await clock.advance(30_000);
      await probed(target, times);
      expect(it.forward.facts.health).toBe('failing');
    }
    words = '+OK\r\n';
    await clock.advance(30_000);
    await eventually(() => it.forward.facts.health === 'ok');
    expect(it.notes).toEqual([
      {
        level: 'warn',
        message: `The service at 127.0.0.1:${target.port} is failing: Cannot see pop3 at 127.0.0.1:${target.port}: it said "-ERR"`,
        code: 'SERVICE_UNHEALTHY',
      },
      { level: 'info', message: `The service at 127.0.0.1:${target.port} is well again` },
    ]);
  });

  test('comes with the reason for as long as it fails: the latest, dated by when it first was the reason', async () => {
    const clock = new FakeClock();
    let words = '-ERR full\r\n';
    await using target = await TcpTarget.start((socket) => greets(words)(socket));
    await using it = await aStartedForward(target.endpoint, { plan, clock });
    const seen: (TunnelError | undefined)[] = [];
    for (const next of ['-ERR full\r\n', '-ERR busy\r\n', '+OK\r\n']) {
      await probed(target, seen.length + 1);
      expect(it.forward.facts.healthError?.message).toContain(words.trim());
      seen.push(it.forward.facts.healthError);
      words = next;
      await clock.advance(30_000);
    }
    await eventually(() => it.forward.facts.health === 'ok');

    const message = `Cannot see pop3 at 127.0.0.1:${target.port}: it said`;
    expect(seen.map((error) => error?.facts)).toMatchObject([
      { code: 'SERVICE_UNHEALTHY', message: `${message} "-ERR full"` },
      { code: 'SERVICE_UNHEALTHY', message: `${message} "-ERR full"` },
      { code: 'SERVICE_UNHEALTHY', message: `${message} "-ERR busy"` },
    ]);
    expect(seen[1]).toBe(seen[0]);
    expect(it.forward.facts).not.toHaveProperty('healthError');
    expect(it.notes.map(({ level }) => level)).toEqual(['warn', 'info']); // once, whatever it said in detail
  });

  test('that fails in another way than before is told again', async () => {
    const clock = new FakeClock();
    const target = await TcpTarget.start(greets('-ERR\r\n'));
    await using it = await aStartedForward(target.endpoint, { plan, clock });
    await eventually(() => it.forward.facts.health === 'failing');
    await target.close();
    await clock.advance(30_000);
    await eventually(() => it.forward.facts.healthError?.code === 'TARGET_REFUSED');
    expect(it.notes.map(({ code }) => code)).toEqual(['SERVICE_UNHEALTHY', 'TARGET_REFUSED']);
  });

  test('fails when the service is silent for the time of a probe', async () => {
    const clock = new FakeClock();
    await using target = await TcpTarget.start(() => undefined);
    await using it = await aStartedForward(target.endpoint, { plan, clock });
    await eventually(() => it.carrier.channels.size === 1);
    await clock.advance(5_000);
    await eventually(() => it.forward.facts.health === 'failing');
    expect(it.notes).toMatchObject([{ code: 'TIMED_OUT' }]);
    expect(it.forward.facts.healthError).toMatchObject({
      code: 'TIMED_OUT',
      message: `Cannot see pop3 at 127.0.0.1:${target.port}: silent for 5 s`,
    });
  });

  test('is unknown while the link is down, asks for none, and is looked at as soon as it is up', async () => {
    const clock = new FakeClock();
    await using target = await TcpTarget.start(greets('+OK\r\n'));
    await using it = await aStartedForward(target.endpoint, { plan, clock, carrier: new LocalCarrier(false) });
    await clock.advance(60_000);
    expect({ health: it.forward.facts.health, opens: it.carrier.opens }).toEqual({ health: null, opens: 0 });
    it.carrier.comeBack();
    it.forward.linkChanged();
    await eventually(() => it.forward.facts.health === 'ok');
    it.carrier.lose();
    it.forward.linkChanged();
    expect(it.forward.facts.health).toBeNull();
  });

  test('learns nothing from a probe that lost its link on the way', async () => {
    const clock = new FakeClock();
    await using target = await TcpTarget.start(() => undefined);
    await using it = await aStartedForward(target.endpoint, { plan, clock });
    await eventually(() => it.carrier.channels.size === 1);
    it.carrier.lose();
    it.forward.linkChanged();
    it.carrier.comeBack();
    it.forward.linkChanged();
    await eventually(() => target.accepted === 2);
    expect({ health: it.forward.facts.health, notes: it.notes }).toEqual({ health: null, notes: [] });
  });

  test('leaves no timer and no connection behind when the forward closes', async () => {
    const clock = new FakeClock();
    await using target = await TcpTarget.start(() => undefined);
    await using it = await aStartedForward(target.endpoint, { plan, clock });
    await eventually(() => target.sockets.size === 1);
    await it.forward.close(0);
    await eventually(() => target.sockets.size === 0);
    expect(clock.pending).toBe(0);
  });
});
