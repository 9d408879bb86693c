import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import ssh2 from 'ssh2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HopPlan } from '../../src/model/plan.ts';
import { chacha20Works } from '../../src/ssh/compat/chacha20.ts';
import { exchangeInside } from '../../src/ssh/compat/exchange-inside.ts';
import { HybridExchange } from '../../src/ssh/compat/hybrid-exchange.ts';
import { loadMlKem, nativeMlKem, proven, readMlKemLibrary } from '../../src/ssh/compat/ml-kem.ts';
import { protocolOf } from '../../src/ssh/compat/protocol.ts';
import { createDial } from '../../src/ssh/dial.ts';
import { withoutStrictKex } from '../support/plain-server.ts';
import { aDial, aHop, aRequest, failureOf, sshdHop } from '../support/ssh-dial.ts';
import { startScriptedServer, type Script, type ScriptedServer } from '../support/ssh-server.ts';
import { makeKey, startSshd } from '../support/sshd.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

let home: TempHome;
beforeAll(async () => {
  home = await tempHome();
});
afterAll(() => home.remove());

let files = 0;
async function knownHop(server: ScriptedServer, over: Partial<HopPlan> = {}): Promise<HopPlan> {
  const file = join(home.dir, `known_hosts_${files++}`);
  await writeFile(file, server.knownHosts);
  return aHop({ port: server.port, knownHosts: [file], ...over });
}

describe('a server without strict key exchange', () => {
  /** Connects, and tells what was settled and over how many connections. */
  async function settle(algorithms: Script['algorithms'], over: Partial<HopPlan> = {}) {
    await using server = await startScriptedServer({
      ...(algorithms && { algorithms }),
      onConnection: withoutStrictKex,
    });
    const { request } = aRequest([await knownHop(server, over)]);
    const transport = await aDial()(request);
    const { cipher, mac, notes } = transport.facts;
    transport.close();
    return { cipher, mac, warned: notes.join().includes('CVE-2023-48795'), connections: server.connections.length };
  }

  test('is served by AES in counter mode where it would have chosen chacha20', async () => {
    const settled = await settle({ cipher: ['chacha20-poly1305@openssh.com', 'aes128-ctr'] });
    const connections = chacha20Works ? 2 : 1; // else it is never offered
    expect(settled).toEqual({ cipher: 'aes128-ctr', mac: 'hmac-sha2-256-etm@openssh.com', warned: true, connections });
  });

  test('gets no encrypt-then-MAC with CBC', async () => {
    const old = { cipher: ['aes128-cbc'], hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-256'] } as const;
    const settled = await settle({ cipher: [...old.cipher], hmac: [...old.hmac] }, { legacy: true });
    expect(settled).toEqual({ cipher: 'aes128-cbc', mac: 'hmac-sha2-256', warned: true, connections: 2 });
  });

  test('is refused, before its key is looked at, where it has nothing else', async () => {
    const algorithms = { cipher: ['aes128-cbc' as const], hmac: ['hmac-sha2-256-etm@openssh.com' as const] };
    await using server = await startScriptedServer({ algorithms, onConnection: withoutStrictKex });
    const { request, questions } = aRequest([aHop({ port: server.port, legacy: true })], { 'host-key': ['yes'] });
    expect(await failureOf(aDial()(request))).toMatchObject({ code: 'NO_COMMON_ALGORITHM' });
    expect({ questions, attempts: server.attempts }).toEqual({ questions: [], attempts: [] });
  });
});

describe('a server with only old algorithms', () => {
  async function oldServer(): Promise<ScriptedServer> {
    const file = join(home.dir, `old_${files++}`);
    await makeKey(file, 'rsa');
    return startScriptedServer({
      hostKey: { private: await readFile(file, 'utf8'), public: await readFile(`${file}.pub`, 'utf8') },
      algorithms: {
        kex: ['diffie-hellman-group14-sha1', 'diffie-hellman-group1-sha1'],
        serverHostKey: ['ssh-rsa'],
        cipher: ['aes128-cbc', '3des-cbc'],
        hmac: ['hmac-sha1', 'hmac-md5'],
      },
    });
  }

  test('is refused with the remedy', async () => {
    await using server = await oldServer();
    const failure = await failureOf(aDial()(aRequest([await knownHop(server)]).request));
    expect({ code: failure.code, hint: failure.hint }).toEqual({
      code: 'NO_COMMON_ALGORITHM',
      hint: expect.stringContaining('legacy: true') as unknown,
    });
  });

  test('is reached with `legacy: true`, and what is old is named aloud', async () => {
    await using server = await oldServer();
    const { request, notes } = aRequest([await knownHop(server, { legacy: true })]);
    const transport = await aDial()(request);
    transport.close();
    const old = 'diffie-hellman-group14-sha1, ssh-rsa, aes128-cbc, hmac-sha1';
    expect(transport.facts).toMatchObject({ kex: 'diffie-hellman-group14-sha1', hostKey: 'ssh-rsa' });
    expect(notes).toEqual([expect.stringContaining(old)]);
    expect(transport.facts.warnings).toEqual(notes);
  });
});

describe('post-quantum key exchange', () => {
  test('both sides come to one secret, and a reply of another length is none', async () => {
    const { ml_kem768: other } = await import('@noble/post-quantum/ml-kem.js');
    const mlKem = await loadMlKem();
    if (mlKem instanceof Error) throw mlKem;
    const exchange = new HybridExchange(mlKem);
    const again = exchange.publicKey;
    const { cipherText } = other.encapsulate(exchange.publicKey.subarray(0, 1184));
    const theirs = Buffer.alloc(32, 9);
    expect(exchange.publicKey).toHaveLength(1216);
    expect(exchange.publicKey).toBe(again);
    expect(exchange.secret(Buffer.concat([cipherText, theirs]))).toHaveLength(32);
    expect(() => exchange.secret(Buffer.concat([cipherText, theirs, theirs]))).toThrow(RangeError);
    expect(() => exchange.secret(Buffer.concat([cipherText, Buffer.alloc(32)]))).toThrow(); // a point of low order
  });

  test('of Node itself, where it has one, comes to the same secrets as the library', async () => {
    const library = await readMlKemLibrary();
    if (library instanceof Error) throw library;
    const all = [library, nativeMlKem() ?? library];
    for (const [client, server] of all.flatMap((one) => all.map((other) => [one, other] as const))) {
      const { publicKey, secretKey } = client.keyPair();
      const { cipherText, sharedSecret } = server.encapsulate(publicKey);
      expect(Buffer.from(client.open(cipherText, secretKey))).toEqual(Buffer.from(sharedSecret));
      expect(() => client.open(cipherText.subarray(1), secretKey)).toThrow();
    }
  });

  test('a library that does not work is found out', async () => {
    const { ml_kem768: real } = await import('@noble/post-quantum/ml-kem.js');
    const parts = { encapsulate: real.encapsulate, keyPair: real.keygen, open: real.decapsulate };
    expect(proven(parts)).not.toBeInstanceOf(Error);
    expect(proven({ ...parts, open: () => new Uint8Array(32) })).toBeInstanceOf(Error);
    const broken = () => {
      throw new Error('no');
    };
    expect(proven({ ...parts, keyPair: broken })).toBeInstanceOf(Error);
  });

  test('that cannot be had falls back, and says so', async () => {
    await using sshd = await startSshd();
    const readSecret = () => Promise.resolve(undefined);
    const dial = createDial({ readSecret, loadMlKem: () => Promise.resolve(new Error('it is not installed')) });
    const transport = await dial(aRequest([sshdHop(sshd)]).request);
    transport.close();
    expect(transport.facts.kex).toBe('curve25519-sha256');
    expect(transport.facts.notes).toContain('no post-quantum key exchange here: it is not installed');
  });

  test('a server that lacks it gets the next best (contract: ssh2 takes names that it does not know)', async () => {
    await using sshd = await startSshd();
    const transport = await aDial()(aRequest([sshdHop(sshd)]).request);
    transport.close();
    expect(transport.facts).toMatchObject({ kex: 'curve25519-sha256', hostKey: 'ssh-ed25519' });
  });
});

test('another ssh2 is noticed before its key exchange is touched, and nothing is changed', () => {
  const client = new ssh2.Client();
  client.on('error', () => undefined);
  client.connect({ sock: new PassThrough(), username: 'nobody' });
  const protocol = protocolOf(client);
  expect(exchangeInside(protocol)).toBeDefined();
  Reflect.set(protocol, '_offer', { lists: {} });
  expect(exchangeInside(protocol)).toBeUndefined();
});
