import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { decodeMux, encodeMux } from '../../src/cli/ssh/mux-codec.ts';
import { readSshLine } from '../../src/cli/wizard/ssh-line.ts';
import { encodeFrame, FrameDecoder } from '../../src/control/codec.ts';
import { isMethod, readParams } from '../../src/control/params.ts';
import { parseLock } from '../../src/daemon/lock-facts.ts';
import { parseCertificate } from '../../src/known-hosts/certificate.ts';
import { parseKnownHosts } from '../../src/known-hosts/parse.ts';
import { judgeHostKey } from '../../src/known-hosts/verdict.ts';
import { clean, cleanLine } from '../../src/model/clean.ts';
import { parseDuration } from '../../src/model/duration.ts';
import { formatEndpoint, parseEndpoint } from '../../src/model/endpoint.ts';
import { TunnelError } from '../../src/model/failure.ts';
import {
  parseDynamicForward,
  parseLocalForward,
  parseRemoteForward,
  parseTarget,
} from '../../src/model/forward-spec.ts';
import { parseHop } from '../../src/model/hop-spec.ts';
import { wireString, wireUint32 } from '../../src/model/wire.ts';
import { parseProfile } from '../../src/profile/parse.ts';
import { parseTotp } from '../../src/secrets/totp.ts';
import { parseVault } from '../../src/secrets/vault-format.ts';
import { readProxy } from '../../src/socks/codec.ts';
import type { Stage as SocksStage } from '../../src/socks/step.ts';
import { treeOfLines } from '../../src/ssh-config/config-tree.ts';
import { evaluateConfig } from '../../src/ssh-config/evaluate.ts';
import { matchesPattern, matchWords } from '../../src/ssh-config/lines.ts';
import { readSettings, splitWords } from '../../src/ssh-config/settings.ts';
import { decodeKey } from '../../src/ssh/keys/key-decoder.ts';
import { keyFormat, publicKeyLine } from '../../src/ssh/keys/key-format.ts';
import { makeKeyPair } from '../../src/ssh/keys/key-pair.ts';
import { MessageScreen, ProtocolBreach, type Stage } from '../../src/ssh/message-screen.ts';
import { asPrivateKey } from '../../src/ssh/keys/private-key.ts';
import { bent, bentBytes } from './bent.ts';

/** A parser of something that others wrote, and what must hold whatever they wrote. */
export interface Parser {
  readonly name: string;
  readonly property: fc.IRawProperty<unknown>;
}

type Thrown = new (...args: never[]) => Error;

/** Runs it; only these errors may come out, which its documentation names. */
function unless(errors: readonly Thrown[], work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!errors.some((one) => error instanceof one)) throw error;
  }
}

/** What a terminal or a log would act on. */
const ACTS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

const text = (name: string, seeds: readonly string[], check: (text: string) => void): Parser => ({
  name,
  property: fc.property(bent(...seeds), check),
});
const bytes = (name: string, seeds: readonly Buffer[], check: (bytes: Buffer) => void): Parser => ({
  name,
  property: fc.property(bentBytes(...seeds), check),
});

const SOCKS_STAGES: readonly SocksStage[] = [
  'start',
  'socks5-login',
  'socks5-request',
  'socks4-request',
  'http-request',
];

const KEY = makeKeyPair('fuzz');
const KEY_LINE = KEY.public.split(' ').slice(0, 2).join(' ');
const PRIVATE_KEYS = [KEY.private, ...encryptedKeys()];
const PASSPHRASE = 'pw';
const KEY_BLOB = Buffer.from(KEY.public.split(' ')[1] ?? '', 'base64');

const PROFILE = `description: POP3
via: [ bastion, { host: pop.example.org, port: 22, hostKey: { fingerprint: SHA256:abc } } ]
forwards:
  - localhost:113 -> pop.example.org:113
  - { local: 1143, to: imap:143, allow: [127.0.0.0/8], expect: 'banner:/^OK/' }
  - { trigger: 1, to: a:1, opens: [ { remote: 1, to: client:1 } ] }
keepalive: { interval: 15s, maxMissed: 3 }
`;
const CONFIG = `Host pop*.example.org !bad
  HostName "pop 1.example.org"
  Port=2222
  ProxyCommand nc -x %h %p
Match host x user "a b" exec "true"
  IdentityFile ~/.ssh/id_%r
Include other
`;
const KNOWN = `# hosts
|1|c2FsdHNhbHRzYWx0c2FsdHNhbHQ=|aGFzaGhhc2hoYXNoaGFzaGhhc2g= ${KEY_LINE}
[pop.example.org]:2222,*.example.org,!bad.example.org ${KEY_LINE} comment
@cert-authority *.example.org ${KEY_LINE}
@revoked * ${KEY_LINE}
`;
const FORWARDS = [
  ...['localhost:113 -> pop.example.org:113', '113:pop:113', '[::1]:113:[2001:db8::1]:113', '/run/a.sock:b:1'],
  ...['auto -> unix:/run/x.sock', '*:8080', '127.0.0.1:1080', 'alice@pop.example.org:22', 'ssh://a@[::1]:22', '1h30m'],
];

/** Every parser of ours that reads what a file, a server, a client or another process wrote. */
export const PARSERS: readonly Parser[] = [
  text('profile', [PROFILE], (profile) => {
    const parsed = parseProfile(profile, 'x.yaml');
    if (parsed.ok) return;
    assert.ok(parsed.problems.length > 0);
    for (const { line, column, message } of parsed.problems) {
      assert.ok(line >= 1 && column >= 1);
      assert.doesNotMatch(message, ACTS);
    }
  }),
  text('ssh_config', [CONFIG], (config) => {
    unless([TunnelError, RangeError], () => {
      const tree = treeOfLines(config.split('\n'), 'config');
      const { values, places } = evaluateConfig([tree], { host: 'pop.example.org', user: undefined, localUser: 'me' });
      assert.deepEqual([...places.keys()].sort(), [...values.keys()].sort());
      readSettings('library', values, new Map());
    });
    for (const line of config.split('\n')) {
      matchWords(line);
      splitWords(line);
      matchesPattern('pop.example.org', line);
    }
  }),
  text('known_hosts', [KNOWN], (known) => {
    const { entries, problems } = parseKnownHosts(known, 'known_hosts');
    for (const { line } of problems) assert.ok(line >= 1);
    judgeHostKey(entries, '[pop.example.org]:2222', KEY_BLOB, 'pop.example.org');
  }),
  text(
    'key file',
    [KEY.private, KEY.public, '-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nAAAA\n'],
    (key) => {
      unless([TunnelError], () => keyFormat(key, 'id'));
      publicKeyLine(key);
    },
  ),
  { name: 'private key', property: fc.asyncProperty(bent(...PRIVATE_KEYS), fc.nat(79), decodesOrSaysWhy) },
  bytes('host certificate', [certificate()], (blob) => unless([RangeError], () => parseCertificate(blob))),
  bytes('SOCKS and HTTP CONNECT', proxyTalk(), (talk) => {
    for (const stage of SOCKS_STAGES) {
      for (const login of [false, true]) {
        const step = readProxy(stage, talk, login);
        if ('taken' in step) assert.ok(step.taken >= 0 && step.taken <= talk.length);
      }
    }
  }),
  bytes('control frame', controlTalk(), (talk) => {
    const decoder = new FrameDecoder();
    for (const frame of [...decoder.push(talk.subarray(0, 9)), ...decoder.push(talk.subarray(9))]) {
      if (frame.kind !== 'request' || !isMethod(frame.method)) continue;
      const { method, params } = frame;
      unless([TunnelError], () => readParams(method, params));
    }
  }),
  text('forward and hop', FORWARDS, (forward) => {
    for (const parse of [parseLocalForward, parseRemoteForward, parseDynamicForward, parseTarget, parseHop])
      parse(forward);
    parseDuration(forward);
    const endpoint = parseEndpoint(forward);
    if (endpoint !== undefined) assert.deepEqual(parseEndpoint(formatEndpoint(endpoint)), endpoint);
  }),
  bytes('mux message of tunnel ssh', muxTalk(), (talk) =>
    unless([RangeError], () => {
      const { rest } = decodeMux(talk);
      assert.ok(rest.length <= talk.length);
    }),
  ),
  text('ssh line', ["ssh -N -L 113:a:113 -o 'User alice' -J b,c -p 22 d"], (line) =>
    unless([TunnelError], () => readSshLine(line, '/')),
  ),
  text('lock', ['{"token":"t","startedAt":"2026-01-01","socket":"/s","version":"1","pid":9,"bootId":"b"}'], (lock) => {
    const facts = parseLock(lock);
    assert.ok(facts === undefined || facts.pid > 0);
  }),
  text('one-time seed', ['otpauth://totp/a:b?secret=JBSWY3DPEHPK3PXP&digits=6&period=30', 'JBSW Y3DP'], (seed) => {
    parseTotp(seed);
  }),
  text(
    'vault',
    ['{"title":"tunnel vault","version":1,"kdf":{"name":"scrypt","N":131072,"r":8,"p":1},"entries":{}}'],
    (vault) => {
      parseVault(vault);
    },
  ),
  bytes('message of an SSH server', serverTalk(), (message) => {
    for (const stage of ['before trust', 'login', 'up'] satisfies Stage[])
      unless([ProtocolBreach], () => assert.ok(Buffer.isBuffer(new MessageScreen().read(message, stage))));
  }),
  text('what is shown', ['a word of a server'], (said) => {
    assert.doesNotMatch(clean(said), ACTS);
    assert.doesNotMatch(cleanLine(said), /[\n\t]/);
  }),
];

/** As `ssh-keygen -m PKCS8` and `-m PEM` write them: for the two readers that there are. */
function encryptedKeys(): string[] {
  const pkcs8 = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'pw' } as const;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return [privateKey.export(pkcs8).toString(), privateKey.export({ ...pkcs8, type: 'sec1' }).toString()];
}

/** One run in eighty with a passphrase: each of those is a thread. What can be read can sign. */
async function decodesOrSaysWhy(key: string, draw: number): Promise<void> {
  for (const reader of ['ssh2', 'crypto'] as const) {
    const decoded = await decodeKey(key, reader, draw === 0 ? PASSPHRASE : undefined, new AbortController().signal);
    if ('key' in decoded) asPrivateKey(decoded.key);
    else assert.ok(decoded.wrong === 'passphrase' || decoded.why !== '');
  }
}

function certificate(): Buffer {
  const texts = ['ssh-ed25519-cert-v01@openssh.com', 'nonce', 'point-of-thirty-two-bytes-length'].map(wireString);
  const rest = ['id', 'names', '', '', '', KEY_BLOB, 'signature'].map(wireString);
  return Buffer.concat([
    ...texts,
    Buffer.alloc(8),
    wireUint32(2),
    ...rest.slice(0, 2),
    Buffer.alloc(16),
    ...rest.slice(2),
  ]);
}

function proxyTalk(): Buffer[] {
  const socks = [
    '050100050100010a0000010050',
    '05010005010003036162630050',
    '0401005000000001006162630000',
    '05020002',
  ];
  const http = ['CONNECT pop.example.org:110 HTTP/1.1\r\nProxy-Authorization: Basic YTpi\r\n\r\n'];
  return [...socks.map((hex) => Buffer.from(hex, 'hex')), ...http.map((line) => Buffer.from(line))];
}

function controlTalk(): Buffer[] {
  const select = { names: ['pop'] };
  return [
    encodeFrame({ kind: 'request', id: 1, method: 'hello', params: { protocol: 1, version: '1' } }),
    encodeFrame({ kind: 'request', id: 2, method: 'up', params: { select, caller: { cwd: '/' }, attend: true } }),
  ];
}

function muxTalk(): Buffer[] {
  const local = parseLocalForward('127.0.0.1:1 -> a:2');
  assert.ok(local !== undefined);
  return [encodeMux({ kind: 'hello', version: 4 }), encodeMux({ kind: 'forward', id: 1, spec: local })];
}

function serverTalk(): Buffer[] {
  const open = [wireString('forwarded-tcpip'), ...[1, 2, 3].map(wireUint32)];
  return [
    Buffer.concat([Buffer.of(90), ...open]),
    Buffer.concat([Buffer.of(91), ...[1, 2, 3, 32_768].map(wireUint32)]),
    Buffer.concat([Buffer.of(60), ...['', '', ''].map(wireString), wireUint32(1), wireString('?'), Buffer.of(0)]),
    Buffer.concat([Buffer.of(80), wireString('hostkeys-00@openssh.com'), Buffer.of(0)]),
  ];
}
