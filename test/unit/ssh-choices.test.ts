import { createPrivateKey, generateKeyPairSync, verify, type KeyObject } from 'node:crypto';
import ssh2 from 'ssh2';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  chooseAlgorithms,
  legacyAmong,
  selectAlgorithms,
  unsafeWithoutStrict,
  type ChoiceFacts,
} from '../../src/ssh/algorithms.ts';
import { chacha20Works } from '../../src/ssh/compat/chacha20.ts';
import { Deadline } from '../../src/ssh/deadline.ts';
import { interleave } from '../../src/ssh/dial-socket.ts';
import { hopName } from '../../src/ssh/hop-context.ts';
import { hostKeyNames } from '../../src/ssh/host-key.ts';
import { keyFormat } from '../../src/ssh/keys/key-format.ts';
import { makeKeyPair } from '../../src/ssh/keys/key-pair.ts';
import { asPrivateKey } from '../../src/ssh/keys/private-key.ts';
import { signatureAlgorithm } from '../../src/ssh/keys/signature-algorithm.ts';
import { wireMpint, WireReader, wireString } from '../../src/model/wire.ts';
import { aHop } from '../support/ssh-dial.ts';

/** As it comes out of a file, where nothing that generated it is left to be freed (src/ssh/keys/raw-key.ts). */
function fromFile(key: KeyObject): KeyObject {
  return createPrivateKey(key.export({ type: 'pkcs8', format: 'pem' }));
}

const FACTS: ChoiceFacts = { knownTypes: [], certificates: false, mlKem: true, unsafe: [] };

describe('algorithms', () => {
  const offer = {
    modern: ['aes-gcm', 'aes-ctr'],
    legacy: ['old-cbc'],
    supported: ['aes-gcm', 'aes-ctr', 'old-cbc', 'odd'],
  };
  test.each([
    [null, false, ['aes-gcm', 'aes-ctr'], []],
    [null, true, ['aes-gcm', 'aes-ctr', 'old-cbc'], []],
    [['aes-ctr', 'new-pq', 'old-cbc'], false, ['aes-ctr', 'old-cbc'], ['new-pq']],
    [['+odd', 'aes-gcm'], false, ['aes-gcm', 'aes-ctr', 'odd'], []],
    [['^aes-ctr'], false, ['aes-ctr', 'aes-gcm'], []],
    [['-aes-*'], true, ['old-cbc'], []],
    [['-aes-gc?', 'old-cbc'], true, ['aes-ctr'], []],
    [['-*'], false, [], []],
  ])('%j with legacy %j offers %j', (wanted, legacy, names, unknown) => {
    expect(selectAlgorithms(offer, wanted, legacy)).toEqual({ names, unknown });
  });

  test('the types that known_hosts holds are asked for first', () => {
    const { offer } = chooseAlgorithms(aHop({ port: 22 }), { ...FACTS, knownTypes: ['ssh-rsa'] });
    expect(offer.serverHostKey).toEqual([
      'rsa-sha2-512',
      'rsa-sha2-256',
      'ssh-ed25519',
      'ecdsa-sha2-nistp256',
      'ecdsa-sha2-nistp384',
      'ecdsa-sha2-nistp521',
    ]);
  });

  test('nothing old is offered unless the profile says legacy', () => {
    const every = (legacy: boolean): string =>
      JSON.stringify(chooseAlgorithms(aHop({ port: 22, legacy }), FACTS).offer);
    expect(every(false)).not.toMatch(/sha1|cbc|"ssh-rsa"|zlib|arcfour|md5/);
    expect(every(true)).toMatch(/"ssh-rsa"/);
  });

  test('chacha20 is offered only where the native addon computes it', () => {
    const { offer } = chooseAlgorithms(aHop({ port: 22, ciphers: ['+chacha20-poly1305@openssh.com'] }), FACTS);
    expect(JSON.stringify(offer.cipher).includes('chacha20')).toBe(chacha20Works);
  });

  test('certificates of hosts are asked for first, where an authority is known or nothing else is wanted', () => {
    const names = (facts: Partial<ChoiceFacts>, hostKeyAlgorithms: string[] | null = null) =>
      chooseAlgorithms(aHop({ port: 22, hostKeyAlgorithms }), { ...FACTS, ...facts }).offer.serverHostKey;
    const certificate = 'ssh-ed25519-cert-v01@openssh.com';
    expect(names({ certificates: true, knownTypes: ['ssh-ed25519'] }).slice(0, 1)).toEqual([certificate]);
    expect(names({ certificates: true }, ['ssh-ed25519', certificate])).toEqual([certificate, 'ssh-ed25519']);
    expect(names({}).filter((name) => name.includes('cert'))).toEqual([]);
    expect(names({}, [certificate, 'ssh-ed25519'])).toEqual(['ssh-ed25519']);
    expect(names({}, [certificate])).toEqual([certificate]);
  });

  test('the exchange that tomorrow’s computers do not break comes first, where it works', () => {
    const first = (mlKem: boolean) => chooseAlgorithms(aHop({ port: 22 }), { ...FACTS, mlKem }).offer.kex[0];
    expect([first(true), first(false)]).toEqual(['mlkem768x25519-sha256', 'curve25519-sha256']);
    expect(() =>
      chooseAlgorithms(aHop({ port: 22, kex: ['mlkem768x25519-sha256'] }), { ...FACTS, mlKem: false }),
    ).toThrow(expect.objectContaining({ code: 'NO_COMMON_ALGORITHM' }));
  });

  const settled = { kex: 'curve25519-sha256', hostKey: 'ssh-ed25519', strict: false } as const;
  const CHACHA = 'chacha20-poly1305@openssh.com';
  const ETM = 'hmac-sha2-256-etm@openssh.com';
  test.each([
    [['aes128-ctr', 'aes128-ctr'], [ETM, ETM], false, undefined],
    [['aes128-gcm@openssh.com', CHACHA], ['', ''], false, 'chacha20'],
    [[CHACHA, CHACHA], ['', ''], true, undefined],
    [['aes128-ctr', 'aes256-cbc'], ['hmac-sha2-256', ETM], false, 'etm'],
    [['aes128-ctr', 'aes256-cbc'], [ETM, 'hmac-sha2-256'], false, undefined],
  ] as const)('%j with %j and strict key exchange %j: unsafe is %j', (ciphers, macs, strict, unsafe) => {
    expect(unsafeWithoutStrict({ ...settled, ciphers, macs, strict })).toBe(unsafe);
  });

  test('what only `legacy: true` allows is told from the rest', () => {
    const old = { ciphers: ['aes128-cbc', 'aes128-ctr'], macs: ['hmac-sha1', 'hmac-sha1'] } as const;
    expect(legacyAmong({ ...settled, ...old })).toEqual(['aes128-cbc', 'hmac-sha1']);
    const unsafe = JSON.stringify(
      chooseAlgorithms(aHop({ port: 22, legacy: true }), { ...FACTS, unsafe: ['etm', 'chacha20'] }),
    );
    expect(unsafe).not.toMatch(/-etm|chacha20/);
  });

  test('a list that leaves nothing is refused with what there is', () => {
    expect(() => chooseAlgorithms(aHop({ port: 22, ciphers: ['rot13'] }), FACTS)).toThrow(
      expect.objectContaining({ code: 'NO_COMMON_ALGORITHM' }),
    );
  });
});

test.each([
  ['ssh-ed25519', ['rsa-sha2-256'], 'OpenSSH_9.2', false, 'ssh-ed25519'],
  ['ssh-rsa', ['rsa-sha2-256', 'rsa-sha2-512'], 'OpenSSH_9.2', false, 'rsa-sha2-512'],
  ['ssh-rsa', ['rsa-sha2-256'], 'OpenSSH_9.2', false, 'rsa-sha2-256'],
  ['ssh-rsa', undefined, 'OpenSSH_9.2', false, 'rsa-sha2-256'],
  ['ssh-rsa', undefined, 'OpenSSH_5.3', true, 'ssh-rsa'],
  ['ssh-rsa', ['ssh-rsa'], 'dropbear', false, undefined],
  // What the real 7.4 says: it takes SHA-2 all the same, but not of certificates.
  ['ssh-rsa', ['ssh-ed25519', 'ssh-rsa', 'ssh-dss'], 'OpenSSH_7.4', false, 'rsa-sha2-512'],
  ['ssh-rsa', ['ssh-ed25519', 'ssh-rsa', 'ssh-dss'], 'OpenSSH_7.4', true, 'rsa-sha2-512'],
  ['ssh-rsa-cert-v01@openssh.com', ['ssh-rsa'], 'OpenSSH_7.4', false, undefined],
  ['ssh-rsa-cert-v01@openssh.com', ['rsa-sha2-512'], 'OpenSSH_7.7p1', true, 'ssh-rsa-cert-v01@openssh.com'],
  ['ssh-rsa-cert-v01@openssh.com', ['rsa-sha2-512'], 'OpenSSH_7.8', false, 'rsa-sha2-512-cert-v01@openssh.com'],
  ['ssh-ed25519-cert-v01@openssh.com', [], 'OpenSSH_7.4', false, 'ssh-ed25519-cert-v01@openssh.com'],
])(
  'a %s key with a server that takes %j and is %s (legacy %j) signs as %j',
  (type, names, version, legacy, expected) => {
    expect(signatureAlgorithm(type, { names, version }, legacy)).toBe(expected);
  },
);

describe('a private key', () => {
  test.each([
    ['ed25519', undefined, 'ssh-ed25519', 'ssh-ed25519'],
    ['rsa', 2048, 'ssh-rsa', 'rsa-sha2-512'],
    ['ecdsa', 256, 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256'],
    ['ecdsa', 521, 'ecdsa-sha2-nistp521', 'ecdsa-sha2-nistp521'],
  ] as const)('%s %s is shown and signs as ssh2 reads it', (kind, bits, keyType, algorithm) => {
    const pair =
      kind === 'rsa'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 })
        : kind === 'ecdsa'
          ? generateKeyPairSync('ec', { namedCurve: bits === 256 ? 'P-256' : 'P-521' })
          : generateKeyPairSync('ed25519');

    const key = asPrivateKey(fromFile(pair.privateKey));
    const public_ = ssh2.utils.parseKey(`${keyType} ${key?.blob.toString('base64') ?? ''}`);
    const data = Buffer.from('what the server wants signed');
    const signature = new WireReader(key?.sign(data, algorithm) ?? Buffer.alloc(0));

    if (public_ instanceof Error) throw public_;
    expect([key?.keyType, public_.type, signature.text()]).toEqual([keyType, keyType, algorithm]);
    if (kind === 'ecdsa') return; // ssh2 verifies another form of these; the integration tests let sshd do it
    const hash = kind === 'rsa' ? 'sha512' : null;
    expect(verify(hash, data, public_.getPublicPEM(), signature.string())).toBe(true);
  });

  test('a kind that SSH does not know is none', () => {
    expect(asPrivateKey(fromFile(generateKeyPairSync('x25519').privateKey))).toBeUndefined();
  });

  test('an mpint has no needless zeros and is never negative', () => {
    expect(
      [Buffer.of(0, 0, 0x7f), Buffer.of(0x80), Buffer.of(0)].map((value) => wireMpint(value).toString('hex')),
    ).toEqual(['000000017f', '000000020080', '00000000']);
  });
});

describe('a key file', () => {
  const openSsh = (cipher: string, type = 'ssh-ed25519'): string => {
    const blob = Buffer.concat([wireString(type), wireString(Buffer.alloc(32))]);
    const body = Buffer.concat([
      Buffer.from('openssh-key-v1\0'),
      wireString(cipher),
      wireString('bcrypt'),
      wireString(''),
      Buffer.of(0, 0, 0, 1),
      wireString(blob),
    ]);
    return `-----BEGIN OPENSSH PRIVATE KEY-----\n${body.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`;
  };
  test.each([
    [openSsh('none'), { kind: 'private', reader: 'ssh2', encrypted: false }],
    [openSsh('aes256-ctr'), { kind: 'private', reader: 'ssh2', encrypted: true }],
    [
      openSsh('chacha20-poly1305@openssh.com'),
      { kind: 'unusable', remedy: expect.stringContaining('-Z aes256-ctr -f /k') as unknown },
    ],
    [
      openSsh('none', 'sk-ssh-ed25519@openssh.com'),
      { kind: 'unusable', remedy: expect.stringContaining('ssh-add') as unknown },
    ],
    ['-----BEGIN ENCRYPTED PRIVATE KEY-----', { kind: 'private', reader: 'crypto', encrypted: true }],
    ['-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED', { kind: 'private', reader: 'crypto', encrypted: true }],
    ['-----BEGIN DSA PRIVATE KEY-----', { kind: 'unusable' }],
    [
      '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----',
      { kind: 'unusable', why: 'it is damaged' },
    ],
    [
      'PuTTY-User-Key-File-3: ssh-ed25519',
      { kind: 'unusable', remedy: expect.stringContaining('puttygen /k ') as unknown },
    ],
    ['hello', { kind: 'unusable' }],
    [`ssh-ed25519 ${wireString('ssh-ed25519').toString('base64')} me`, { kind: 'public' }],
  ])('%j is recognised', (text, expected) => {
    expect(keyFormat(text, '/k')).toMatchObject(expected);
  });
});

test('a key pair of our own making can always be read back: ssh2 makes one in some 500 that cannot', () => {
  for (let round = 0; round < 1_000; round++) {
    const pair = makeKeyPair('me');
    const [secret, open] = [ssh2.utils.parseKey(pair.private), ssh2.utils.parseKey(pair.public)];
    if (secret instanceof Error || open instanceof Error) throw new Error(`Cannot read ${pair.public}`);
    if (!secret.getPublicSSH().equals(open.getPublicSSH())) throw new Error(`Not a pair: ${pair.public}`);
  }
});

test('addresses of both families take turns, and the rest follows', () => {
  const six = ['a', 'b', 'c'].map((address) => ({ address, family: 6 }));
  const four = ['x'].map((address) => ({ address, family: 4 }));
  expect(interleave([...six, ...four]).map((one) => one.address)).toEqual(['a', 'x', 'b', 'c']);
  expect(interleave([...four, ...six]).map((one) => one.address)).toEqual(['x', 'a', 'b', 'c']);
});

test.each([
  ['pop.example.org', 'pop.example.org', 22, 'pop.example.org:22'],
  ['alice@pop.example.org', 'pop.example.org', 2222, 'alice@pop.example.org:2222'],
  ['alice@pop.example.org:2222', 'pop.example.org', 2222, 'alice@pop.example.org:2222'],
  ['mail', 'pop.example.org', 22, 'mail (pop.example.org:22)'],
  ['::1', '::1', 22, '[::1]:22'],
])('a hop written as %j is called with its address', (label, host, port, expected) => {
  expect(hopName({ label, host, port })).toBe(expected);
});

test('a HostKeyAlias is looked up without a port, a host with it', () => {
  expect(hostKeyNames({ host: 'Pop', port: 2222, hostKeyName: 'pop' }).name).toBe('[pop]:2222');
  expect(hostKeyNames({ host: 'pop', port: 2222, hostKeyName: 'mail' }).name).toBe('mail');
});

describe('a deadline', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('stands still while a person is asked, and goes on afterwards with what was left', () => {
    let expired = false;
    const deadline = new Deadline(1_000, () => (expired = true));
    vi.advanceTimersByTime(900);
    const resumeOuter = deadline.pause();
    const resumeInner = deadline.pause();
    vi.advanceTimersByTime(60_000);
    resumeInner();
    resumeInner();
    vi.advanceTimersByTime(60_000);
    expect(expired).toBe(false);

    resumeOuter();
    vi.advanceTimersByTime(90);
    expect(expired).toBe(false);
    vi.advanceTimersByTime(20);
    expect(expired).toBe(true);
  });

  test('is over once stopped, also when a pause ends later', () => {
    let expired = false;
    const deadline = new Deadline(1_000, () => (expired = true));
    const resume = deadline.pause();
    deadline.stop();
    resume();
    vi.advanceTimersByTime(10_000);
    expect(expired).toBe(false);
  });
});
