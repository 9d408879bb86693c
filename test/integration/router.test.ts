import { createHash } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mappingSeed } from '../../src/files/mapping-seed.ts';
import { systemClock } from '../../src/link/clock.ts';
import type { MapAsk } from '../../src/router/mapping-protocol.ts';
import { NatPmp } from '../../src/router/nat-pmp.ts';
import { Pcp } from '../../src/router/pcp.ts';
import type { Clock } from '../../src/model/clock.ts';
import { Upnp } from '../../src/router/upnp.ts';
import {
  description,
  LOOPBACK,
  soapAnswer,
  soapFault,
  UdpPeer,
  UpnpPeer,
  type Serve,
} from '../support/hostile-router.ts';
import { tempHome } from '../support/temp-home.ts';

const ASK: MapAsk = { protocol: 'tcp', internalPort: 8080, externalPort: 80, leaseSeconds: 7200, description: 'test' };
const NONCE = Buffer.from('own nonce 12');
const never = new AbortController().signal;

/** What an honest router answers to a request for a mapping: port 81 of 12.34.56.78. */
function grant(request: Buffer, result = 0): Buffer {
  const response = Buffer.from(request);
  response.writeUInt8(0x81, 1);
  response.writeUInt8(result, 3);
  response.writeUInt16BE(81, 42);
  Buffer.from([12, 34, 56, 78]).copy(response, 56);
  return response;
}

/** What is due at once is done; nothing is ever asked again, or given up: for a router whose first answers say it all. */
const PATIENT: Clock = {
  ...systemClock,
  after: (delayMs, callback) => (delayMs === 0 ? systemClock.after(0, callback) : () => undefined),
};

function pcp(port: number, clock = PATIENT): Pcp {
  return new Pcp({ clock, nonce: () => Promise.resolve(NONCE), port });
}

describe('PCP over UDP', () => {
  test('is believed by nonce, port and protocol: whatever else comes is passed over until the answer is there', async () => {
    await using router = await UdpPeer.bind('127.0.0.1', (request, answer) => {
      const honest = grant(request);
      const forged = Buffer.from(honest);
      forged.writeUInt16BE(666, 42);
      const otherNonce = Buffer.from(forged).fill(7, 24, 36);
      const otherPort = Buffer.from(forged);
      otherPort.writeUInt16BE(8081, 40);
      const otherOpcode = Buffer.from(forged).fill(0x82, 1, 2);
      for (const wrong of [request, otherNonce, otherPort, otherOpcode, forged.subarray(0, 40), Buffer.alloc(0)])
        answer(wrong);
      answer(honest);
    });

    const granted = await pcp(router.port).map(ASK, LOOPBACK, never);

    expect(granted).toEqual({ externalHost: '12.34.56.78', externalPort: 81, leaseSeconds: 7200, epochSeconds: 0 });
  });

  test('is not believed from another address, or another port', async () => {
    await using elsewhere = await UdpPeer.bind('127.0.0.2', () => undefined);
    await using neighbour = await UdpPeer.bind('127.0.0.1', () => undefined);
    await using router = await UdpPeer.bind('127.0.0.1', (request, answer, { port, address }) => {
      const forged = grant(request);
      forged.writeUInt16BE(666, 42);
      for (const stranger of [elsewhere, neighbour]) stranger.send(forged, port, address);
      if (router.received > 1) answer(grant(request)); // the forged ones were there long before
    });

    expect(await pcp(router.port, systemClock).map(ASK, LOOPBACK, never)).toMatchObject({ externalPort: 81 });
  });

  test('asks again when a datagram is lost', async () => {
    await using router = await UdpPeer.bind(
      '127.0.0.1',
      (request, answer) => router.received > 1 && answer(grant(request)),
    );

    expect(await pcp(router.port, systemClock).map(ASK, LOOPBACK, never)).toMatchObject({ externalPort: 81 });
  });

  test('gives up a router that floods it', async () => {
    await using router = await UdpPeer.bind('127.0.0.1', (_request, answer) => {
      for (let count = 0; count < 100; count += 1) answer(Buffer.alloc(60, 0x82));
    });

    await expect(pcp(router.port).map(ASK, LOOPBACK, never)).rejects.toMatchObject({ code: 'ROUTER_NOT_FOUND' });
    expect(router.received).toBe(1);
  });

  test.each([
    [2, 'it does not allow this machine to'],
    [8, 'it has no room for another mapping'],
    [11, 'the port is taken there'],
    [12, 'there is another NAT between this machine and it'],
  ])('a refusal with result %i says why: %s', async (result, why) => {
    await using router = await UdpPeer.bind('127.0.0.1', (request, answer) => answer(grant(request, result)));

    await expect(pcp(router.port).map(ASK, LOOPBACK, never)).rejects.toMatchObject({
      code: 'ROUTER_REFUSED',
      message: `Cannot map port 80 (TCP) of the router 127.0.0.1: ${why} (PCP ${result})`,
    });
  });

  test('a router of NAT-PMP alone is known by its answer, at once', async () => {
    await using router = await UdpPeer.bind('127.0.0.1', (_request, answer) =>
      answer(Buffer.from('0081000100000001', 'hex')),
    );

    await expect(pcp(router.port).map(ASK, LOOPBACK, never)).rejects.toMatchObject({
      message: 'Cannot ask the router 127.0.0.1 by PCP: it speaks another version',
    });
    expect(router.received).toBe(1);
  });

  test('a port where nobody listens is known at once', async () => {
    const gone = await UdpPeer.bind('127.0.0.1', () => undefined);
    await gone[Symbol.asyncDispose]();

    await expect(pcp(gone.port).map(ASK, LOOPBACK, never)).rejects.toMatchObject({ code: 'ROUTER_NOT_FOUND' });
  });

  test('a request that is no longer wanted ends', async () => {
    await using router = await UdpPeer.bind('127.0.0.1', () => stop.abort(new Error('not wanted')));
    const stop = new AbortController();

    await expect(pcp(router.port).map(ASK, LOOPBACK, stop.signal)).rejects.toThrow('not wanted');
  });
});

describe('NAT-PMP over UDP', () => {
  test('a mapping and the address make a grant', async () => {
    await using router = await UdpPeer.bind('127.0.0.1', (request, answer) => {
      answer(Buffer.from('0080000000000005c0a80101', 'hex').subarray(0, 9)); // cut: no answer to either
      if (request.length === 2) answer(Buffer.from('00800000000000050c22384e', 'hex'));
      else answer(Buffer.from('00820000000000051f90005100000e10', 'hex'));
    });

    const granted = await new NatPmp({ clock: PATIENT, port: router.port }).map(ASK, LOOPBACK, never);

    expect(granted).toEqual({ externalHost: '12.34.56.78', externalPort: 81, leaseSeconds: 3600, epochSeconds: 5 });
  });

  test('a refusal says why', async () => {
    await using router = await UdpPeer.bind('127.0.0.1', (_request, answer) =>
      answer(Buffer.from('0082000200000005', 'hex')),
    );

    await expect(new NatPmp({ clock: PATIENT, port: router.port }).map(ASK, LOOPBACK, never)).rejects.toMatchObject({
      code: 'ROUTER_REFUSED',
      message: 'Cannot map port 80 (TCP) of the router 127.0.0.1: it does not allow this machine to (NAT-PMP 2)',
    });
  });
});

describe('UPnP', () => {
  const upnp = (peer: UpnpPeer, clock = PATIENT): Upnp =>
    new Upnp({ clock, random: () => 0.5, ssdpPort: peer.ssdpPort });
  /** Answers the description itself, and hands calls to the test. */
  const router = (version: 1 | 2, call: (action: string, body: string) => string): Serve => {
    return (path, body, action, response) =>
      void response.end(path === '/ctl' ? call(action, body) : description(version));
  };
  const ADDRESS = soapAnswer('GetExternalIPAddress', { NewExternalIPAddress: '12.34.56.78' });

  test('a router of the first version that has the port taken is asked for another', async () => {
    await using peer = await UpnpPeer.start(
      router(1, (action, body) => {
        if (action === 'GetExternalIPAddress') return ADDRESS;
        return body.includes('<NewExternalPort>80<') ? soapFault(718) : soapAnswer(action, {});
      }),
    );

    expect(await upnp(peer).map(ASK, LOOPBACK, never)).toEqual({
      externalHost: '12.34.56.78',
      externalPort: 57_344,
      leaseSeconds: 7200,
      epochSeconds: null,
    });
  });

  test('a router that takes no end of a mapping is asked for one without', async () => {
    await using peer = await UpnpPeer.start(
      router(1, (action, body) => {
        if (action === 'GetExternalIPAddress') return ADDRESS;
        return body.includes('<NewLeaseDuration>0<') ? soapAnswer(action, {}) : soapFault(725);
      }),
    );

    expect(await upnp(peer).map(ASK, LOOPBACK, never)).toMatchObject({ externalPort: 80, leaseSeconds: null });
  });

  test('a router that maps a port to the same one only is asked so', async () => {
    await using peer = await UpnpPeer.start(
      router(1, (action, body) => {
        if (action === 'GetExternalIPAddress') return ADDRESS;
        return body.includes('<NewExternalPort>8080<') ? soapAnswer(action, {}) : soapFault(724);
      }),
    );

    expect(await upnp(peer).map(ASK, LOOPBACK, never)).toMatchObject({ externalPort: 8080 });
  });

  test("a mapping that is somebody else's by now is left alone", async () => {
    await using peer = await UpnpPeer.start(
      router(2, (action) => soapAnswer(action, { NewInternalClient: '192.168.7.9', NewInternalPort: 8080 })),
    );

    await upnp(peer).unmap(ASK, LOOPBACK, never);

    expect(peer.asked).toEqual(['/desc.xml', 'GetSpecificPortMappingEntry']);
  });

  test('its list is read to its end, with control characters made visible', async () => {
    let index = 0;
    await using peer = await UpnpPeer.start(
      router(2, (action) => {
        index += 1;
        if (index > 2) return soapFault(713);
        const entry = {
          NewExternalPort: 80 + index,
          NewProtocol: 'TCP',
          NewInternalPort: 8080,
          NewInternalClient: '10.0.0.2',
        };
        return soapAnswer(action, { ...entry, NewPortMappingDescription: 'x&#27;[2J', NewLeaseDuration: 0 });
      }),
    );

    const listed = await upnp(peer).list(LOOPBACK, never);

    expect(listed.map(({ externalPort }) => externalPort)).toEqual([81, 82]);
    expect(listed[0]).toMatchObject({ description: 'x\\u001b[2J', leaseSeconds: null, internalHost: '10.0.0.2' });
  });

  test.each<[string, Serve]>([
    ['is endless', (_path, _body, _action, response) => void endlessly(response)],
    ['is no XML', (_path, _body, _action, response) => void response.end('<html>')],
    [
      'redirects elsewhere',
      (_path, _body, _action, response) => void response.writeHead(302, { Location: 'http://127.0.0.2/' }).end(),
    ],
    [
      'is cut off',
      (_path, _body, _action, response) => void response.writeHead(200, { 'Content-Length': 999 }).end('<root>'),
    ],
    [
      'defines entities',
      (_path, _body, _action, response) => void response.end('<!DOCTYPE r [<!ENTITY a "aaaa">]><root>&a;</root>'),
    ],
  ])('a description that %s is no router', async (_what, serve) => {
    await using peer = await UpnpPeer.start(serve);

    await expect(upnp(peer).map(ASK, LOOPBACK, never)).rejects.toMatchObject({ code: 'ROUTER_NOT_FOUND' });
    expect(peer.asked).toEqual(['/desc.xml']);
  });

  test('a router that points to somebody else is not followed', async () => {
    await using elsewhere = await UpnpPeer.start(router(2, (action) => soapAnswer(action, {})));
    await using peer = await UpnpPeer.start(
      () => undefined,
      (port) => `http://127.0.0.2:${port}/desc.xml`,
    );

    await expect(upnp(peer, systemClock).map(ASK, LOOPBACK, never)).rejects.toMatchObject({ code: 'ROUTER_NOT_FOUND' });
    expect([...peer.asked, ...elsewhere.asked]).toEqual([]);
  });
});

function endlessly(response: NodeJS.WritableStream): void {
  const chunk = Buffer.alloc(65_536, ' ');
  const more = (): void => void (response.writable && response.write(chunk, () => more()));
  response.on('error', () => undefined);
  more();
}

test('the seed of a home is made once, private, and made anew where it is damaged', async () => {
  await using home = await tempHome();
  const file = join(home.dir, 'state', 'mapping-seed');

  const seeds = await Promise.all(Array.from({ length: 8 }, () => mappingSeed(file)));
  const kept = await mappingSeed(file);
  const digest = (seed: Buffer): string => createHash('sha256').update(seed).digest('hex');
  expect(new Set([...seeds, kept].map(digest)).size).toBe(1);
  expect((await stat(file)).mode & 0o777).toBe(0o600);

  await writeFile(file, 'short');
  const both = await Promise.all([mappingSeed(file), mappingSeed(file)]);
  const again = await readFile(file);
  expect([again.length, digest(again) === digest(kept)]).toEqual([32, false]);
  expect(both.map(digest)).toEqual([digest(again), digest(again)]);
});
