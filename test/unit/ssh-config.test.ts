import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { matchesPattern } from '../../src/ssh-config/lines.ts';
import { parseAnswer } from '../../src/ssh-config/query.ts';
import { NO_SETTINGS, readSettings, type SshSettings } from '../../src/ssh-config/settings.ts';
import { expandFile, expandHome, expandTokens, type TokenFacts } from '../../src/ssh-config/tokens.ts';

/** What ssh prints where nothing is configured, as far as these tests go. */
const SILENT = parseAnswer(
  'identityfile ~/.ssh/id_rsa\nidentityfile ~/.ssh/id_ed25519\nciphers a,b\ncompression no\nserveralivecountmax 3\n',
);
const settingsOf = (text: string): SshSettings => readSettings('ssh -G', parseAnswer(text), SILENT);

describe('one option of ssh_config', () => {
  test.each<[string, Partial<SshSettings>]>([
    ['hostname 10.0.0.1', { hostName: '10.0.0.1' }],
    ['port 2222', { port: 2222 }],
    ['identityfile ~/a\nidentityfile ~/b', { identityFiles: ['~/a', '~/b'] }],
    ['identityfile none', { identityFiles: [] }],
    ['identityfile ~/.ssh/id_rsa\nidentityfile ~/.ssh/id_ed25519', { identityFiles: null }],
    ['identitiesonly yes', { identitiesOnly: true }],
    ['identityagent none', { identityAgent: 'none' }],
    ['proxyjump a@b:22,c', { proxyJump: 'a@b:22,c' }],
    ['proxyjump none', { proxyJump: null }],
    ['proxycommand none', { proxyCommand: null }],
    ['proxycommand nc -X 5 "a b" %h %p', { proxyCommand: 'nc -X 5 "a b" %h %p' }],
    ['userknownhostsfile /a "/b c"', { userKnownHosts: ['/a', '/b c'] }],
    ['userknownhostsfile none', { userKnownHosts: [] }],
    ['stricthostkeychecking accept-new', { strictHostKeyChecking: 'accept-new' }],
    ['stricthostkeychecking ask', { strictHostKeyChecking: 'ask' }],
    ['ciphers a,b', { ciphers: null }],
    ['ciphers c,d', { ciphers: ['c', 'd'] }],
    ['serveraliveinterval 0', { serverAliveSeconds: null }],
    ['serveraliveinterval 1m30s', { serverAliveSeconds: 90 }],
    ['serveralivecountmax 3', { serverAliveCountMax: null }],
    ['serveralivecountmax 5', { serverAliveCountMax: 5 }],
    ['connecttimeout none', { connectTimeoutSeconds: null }],
    ['connecttimeout 7', { connectTimeoutSeconds: 7 }],
    ['addressfamily inet6', { addressFamily: 'inet6' }],
    ['compression yes', { compression: true }],
    ['compression no', { compression: null }],
    ['rekeylimit 0 0', { rekeyBytes: null, rekeySeconds: null }],
    ['rekeylimit 1073741824 3600', { rekeyBytes: 2 ** 30, rekeySeconds: 3600 }],
    ['rekeylimit 1G 1h', { rekeyBytes: 2 ** 30, rekeySeconds: 3600 }],
    ['rekeylimit default none', { rekeyBytes: null, rekeySeconds: null }],
    ['updatehostkeys false', { updateHostKeys: 'no' }],
    ['revokedhostkeys ~/.ssh/revoked', { revokedHostKeys: '~/.ssh/revoked' }],
    ['revokedhostkeys none', { revokedHostKeys: null }],
    ['permitremoteopen any', { permitRemoteOpen: null }],
    ['permitremoteopen none', { permitRemoteOpen: [] }],
    ['permitremoteopen web:80 [::1]:*', { permitRemoteOpen: ['web:80', '[::1]:*'] }],
    ['casignaturealgorithms ssh-ed25519,rsa-sha2-512', { caSignatureAlgorithms: ['ssh-ed25519', 'rsa-sha2-512'] }],
    ['batchmode yes', { refusedMethods: ['keyboard-interactive', 'password'] }],
    ['pubkeyauthentication false', { refusedMethods: ['publickey'] }],
    [
      'localforward 1 [a]:2\nlocalforward 3 [b]:4',
      { forwards: { local: ['1 [a]:2', '3 [b]:4'], remote: [], dynamic: [] } },
    ],
  ])('%s', (text, expected) => {
    const settings = settingsOf(text);

    const { source: _, defaultIdentityFiles: __, said: ___, ...rest } = NO_SETTINGS;
    const { said: ____, ...read } = settings;
    expect(read).toEqual({
      ...rest,
      source: 'ssh -G',
      defaultIdentityFiles: SILENT.get('identityfile'),
      ...expected,
    });
  });
});

describe('what cannot be honoured is named, what could not matter is not', () => {
  test.each([
    ['knownhostscommand /bin/x', ['ssh_config: knownhostscommand is not honoured']],
    ['gssapiauthentication yes', ['ssh_config: gssapiauthentication is not honoured']],
    ['gssapiauthentication no', []],
    [
      'stricthostkeychecking no',
      ['ssh_config: StrictHostKeyChecking no is read as accept-new: a changed host key is refused all the same'],
    ],
    [
      'stricthostkeychecking true',
      ['ssh_config: StrictHostKeyChecking yes: an unknown host key is still asked about on a terminal'],
    ],
    ['forwardagent yes\nsendenv LANG\ncontrolmaster auto\nrequesttty force', []],
    ['pkcs11provider none', []],
  ])('%s', (text, warnings) => {
    expect(settingsOf(text).warnings).toEqual(warnings);
  });
});

const FACTS: TokenFacts = {
  host: '10.0.0.1',
  original: 'pop',
  port: 2222,
  user: 'alice',
  hostKeyAlias: null,
  proxyJump: 'jump',
  local: { user: 'al', home: '/home/al', uid: 1000, hostName: 'desk.example.org', env: { DIR: '/keys' } },
};

test('every token stands for what ssh_config(5) says', () => {
  const hash = createHash('sha1').update('desk.example.org10.0.0.12222alicejump').digest('hex');

  expect(expandTokens('%% %h %n %p %r %u %d %l %L %i %j %k', FACTS)).toBe(
    '% 10.0.0.1 pop 2222 alice al /home/al desk.example.org desk 1000 jump pop',
  );
  expect(expandTokens('%k', { ...FACTS, hostKeyAlias: 'alias' })).toBe('alias');
  expect(expandTokens('%C', FACTS)).toBe(hash);
});

test.each(['%z', '%', 'a%'])('%s is no token', (text) => {
  expect(() => expandTokens(text, FACTS)).toThrow(RangeError);
});

test.each([
  ['~/.ssh/%n', '/home/al/.ssh/pop'],
  ['${DIR}/%h', '/keys/10.0.0.1'],
  ['relative', '/home/al/relative'],
  ['/abs', '/abs'],
])('the file %s', (written, path) => {
  expect(expandFile(written, FACTS)).toBe(path);
});

test('a value is expanded once: what a host is called is no token', () => {
  expect(expandTokens('%h', { ...FACTS, host: '%p' })).toBe('%p');
});

test("a relative path begins where it is told, somebody else's home stays as it is", () => {
  expect([expandHome('a', '/home/al', '/p'), expandHome('~', '/home/al'), expandHome('~bob/x', '/home/al')]).toEqual([
    '/p/a',
    '/home/al',
    '~bob/x',
  ]);
});

// A regular expression took hours for it, and with it every tunnel of the supervisor.
test('a Host pattern made to be slow is decided at once', () => {
  expect(matchesPattern('a'.repeat(5_000), '*a'.repeat(30) + 'b')).toBe(false);
  expect(matchesPattern('a'.repeat(5_000), '*a'.repeat(30))).toBe(true);
  expect(matchesPattern('pop.example.org', 'p?p*.example.???')).toBe(true);
});
