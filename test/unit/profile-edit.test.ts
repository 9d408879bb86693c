import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ForwardSpec } from '../../src/model/forward-spec.ts';
import type { Profile } from '../../src/model/profile.ts';
import { addForward, formatProfile, removeForward, replaceForward, setField } from '../../src/profile/edit.ts';
import { setServerKey } from '../../src/profile/edit-server.ts';
import { allFields, fieldHelp } from '../../src/profile/field-help.ts';
import { needsTrust } from '../../src/profile/needs-trust.ts';
import { parseProfile } from '../../src/profile/parse.ts';

const TEXT = `# yaml-language-server: $schema=x.json
description: mail # why

# the way
via: alice@pop # the server
forwards:
  # the first
  - localhost:113 -> pop:113 # pop3
  # the web
  - { local: 80, to: 'w:80' }
keepalive: { interval: 15s } # often
`;
const V6: ForwardSpec = {
  kind: 'local',
  bind: { kind: 'tcp', host: '::1', port: 9 },
  target: { kind: 'tcp', host: 'a', port: 1 },
};

describe('an edit changes what it is asked to and keeps the rest, comments included', () => {
  test('a forward is added, in quotes where YAML needs them', () => {
    expect(addForward(TEXT, V6)).toBe(TEXT.replace("'w:80' }\n", "'w:80' }\n  - '[::1]:9 -> a:1'\n"));
  });

  test('a forward is replaced', () => {
    expect(replaceForward(TEXT, 0, V6)).toBe(TEXT.replace('localhost:113 -> pop:113 # pop3', "'[::1]:9 -> a:1'"));
  });

  test('a forward is removed with what is said beside it', () => {
    expect(removeForward(TEXT, 0)).toBe(TEXT.replace('  - localhost:113 -> pop:113 # pop3\n', ''));
  });

  test('a field is set where there is one and where there is none', () => {
    expect(setField(TEXT, ['keepalive', 'interval'], '5s')).toBe(TEXT.replace('15s', '5s'));
    expect(setField(TEXT, ['reconnect', 'max'], '1m')).toBe(`${TEXT}reconnect:\n  max: 1m\n`);
  });

  test('the line for editors stays when the first field goes', () => {
    const changed = setField(TEXT, ['description'], undefined);

    expect(changed).toMatch(/^# yaml-language-server: \$schema=x.json\n/);
    expect(changed).not.toContain('description');
  });

  test('flat lists stay flat, Windows line ends stay what they are', () => {
    const flat = 'via: a\r\nforwards:\r\n- 1:a:1\r\n';

    expect(addForward(flat, V6)).toBe("via: a\r\nforwards:\r\n- 1:a:1\r\n- '[::1]:9 -> a:1'\r\n");
  });

  test('what is no profile, or has no such forward, is refused and not damaged', () => {
    expect(() => addForward('a: [', V6)).toThrow(RangeError);
    expect(() => addForward('- a', V6)).toThrow(RangeError);
    expect(() => removeForward(TEXT, 2)).toThrow(RangeError);
  });
});

describe('the server gets a key of its own and no agent, whatever form it is written in', () => {
  const rest = 'forwards:\n  - 1:a:1\n';
  test.each([
    [
      'a word',
      `# top\nvia: alice@pop:2222 # the server\n${rest}`,
      `# top\nvia:\n  # the server\n  host: pop\n  port: 2222\n  user: alice\n  identity: [~/k]\n  agent: false\n${rest}`,
    ],
    [
      'a list of words',
      `via:\n  - bastion # jump\n  # the last\n  - pop\n${rest}`,
      `via:\n  - bastion # jump\n  # the last\n  - host: pop\n    identity: [~/k]\n    agent: false\n${rest}`,
    ],
    [
      'a table with a key and an agent',
      `via:\n  - host: pop # hi\n    identity: ~/old # mine\n    agent: true # yes\n${rest}`,
      `via:\n  - host: pop # hi\n    identity: [~/k] # mine\n    agent: false # yes\n${rest}`,
    ],
    [
      'a table in one line',
      `via: { host: '::1', identity: [a, b] } # v6\n${rest}`,
      `via: { host: '::1', identity: [ ~/k ], agent: false } # v6\n${rest}`,
    ],
  ])('%s', (_, before, after) => {
    expect(setServerKey(before, '~/k')).toBe(after);
    expect(setServerKey(after, '~/k')).toBe(after);
    expect(parseProfile(after, 'x.yaml').ok).toBe(true);
  });

  test('a profile without a server is refused', () => {
    expect(() => setServerKey('forwards:\n  - { relay: 1, to: a:1 }\n', '~/k')).toThrow(RangeError);
  });
});

test('a new profile begins with the line for editors and is as short as it can be', () => {
  const profile: Profile = {
    description: 'mail',
    tags: ['a', 'b'],
    via: [{ host: 'bastion' }, { host: 'pop', user: 'alice', port: 2222 }],
    forwards: [V6, { ...V6, bind: { kind: 'tcp', host: 'localhost', port: 0 }, name: 'n' }],
    keepalive: { intervalMs: 15_000 },
  };

  expect(formatProfile(profile, '../x.json')).toBe(`# yaml-language-server: $schema=../x.json
description: mail
tags: [a, b]
via:
  - bastion
  - alice@pop:2222
forwards:
  - '[::1]:9 -> a:1'
  - local: localhost:auto
    to: a:1
    name: n
keepalive:
  interval: 15s
`);
});

// Two hundred profiles take seconds on a busy machine.
test('whatever a profile says, it says it again after it was written and read', { timeout: 60_000 }, () => {
  const host = fc.constantFrom('a', 'pop.example.org', '10.0.0.1', '::1', 'localhost');
  const port = fc.integer({ min: 1, max: 65_535 });
  const endpoint = fc.oneof(
    fc.record({ kind: fc.constant('tcp' as const), host, port }),
    fc.record({ kind: fc.constant('unix' as const), path: fc.stringMatching(/^\/[a-z]{1,8}$/) }),
  );
  const common = { kind: fc.constant('local' as const), target: endpoint, gateway: fc.boolean() };
  const unix = fc.record({ kind: fc.constant('unix' as const), path: fc.uuid().map((id) => `/run/${id}`) });
  const tcp = fc.record({ kind: fc.constant('tcp' as const), host: fc.constantFrom('127.0.0.1', '::1'), port });
  const requiredKeys: ('kind' | 'bind' | 'target')[] = ['kind', 'bind', 'target'];
  const local = fc.oneof(
    fc.record({ ...common, bind: unix }, { requiredKeys }),
    fc.record({ ...common, bind: tcp, allow: fc.constant(['10.0.0.0/8']) }, { requiredKeys }),
  );
  const ms = fc.integer({ min: 1, max: 86_400_000 });
  const text = fc.stringMatching(/^[ -~]{1,30}$/);
  const hop = fc.record(
    { host, user: fc.constant('alice'), port, identity: fc.array(text), compression: fc.boolean() },
    { requiredKeys: ['host'] },
  );
  const profile = fc.record(
    {
      description: text,
      via: fc.array(hop, { minLength: 1, maxLength: 3 }),
      forwards: fc.uniqueArray(local, { minLength: 1, maxLength: 4, selector: ({ bind }) => JSON.stringify(bind) }),
      keepalive: fc.record({ intervalMs: ms, maxMissed: fc.integer({ min: 1, max: 9 }) }, { requiredKeys: [] }),
      reconnect: fc.record({ initialMs: ms, giveUpAfterMs: fc.option(ms) }, { requiredKeys: [] }),
      whileDown: fc.constantFrom('refuse' as const, { holdMs: 500, queue: 3 }),
      hooks: fc.record({ up: text, down: fc.array(text, { minLength: 1 }) }, { requiredKeys: [] }),
    },
    { requiredKeys: ['via', 'forwards'] },
  );

  fc.assert(
    fc.property(profile, (written) => {
      const again = parseProfile(formatProfile(written), 'x.yaml');
      expect(again).toMatchObject({ ok: true, profile: written });
    }),
    { numRuns: 200 },
  );
});

test('every field has a row with a type, a default and one sentence of help', () => {
  const rows = allFields();

  expect(rows.length).toBeGreaterThan(70);
  expect(
    rows.filter(({ type, help, default: fallback }) => type === '' || fallback === '' || !/^[A-Z].*\.$/.test(help)),
  ).toEqual([]);
  expect(fieldHelp('keepalive.interval')).toMatchObject({
    path: 'keepalive.interval',
    unit: 'ms, s, m, h, d',
    default: expect.stringContaining('15s') as string,
  });
  expect(fieldHelp('via.identity')?.help).toContain('-cert.pub');
  expect(fieldHelp('forwards.remote')?.help).toContain('server listens');
  expect(fieldHelp('nonsense')).toBeUndefined();
});

describe('what a profile must be trusted for', () => {
  test.each<[string, Omit<Profile, 'forwards'> & { readonly forwards?: Profile['forwards'] }, readonly string[]]>([
    ['nothing', { via: [{ host: 'a' }] }, []],
    ['a proxy command', { via: [{ host: 'a', proxyCommand: 'x' }] }, ['runs a proxy command']],
    ['no proxy command', { via: [{ host: 'a', proxyCommand: 'none' }] }, []],
    ['hooks', { hooks: { up: 'x' } }, ['runs hooks']],
    ['a secrets command', { secrets: { totp: { kind: 'command', argv: ['x'] } } }, ['runs a command for a secret']],
    ['a secrets file', { secrets: { password: { kind: 'file', path: 'x' } } }, ['reads a secret from a file']],
    ['an ssh_config', { sshConfig: './x' }, ['names an ssh_config, which can run commands']],
    ['no ssh_config', { sshConfig: 'none' }, []],
    ['keys', { via: [{ host: 'a', identity: ['x'] }] }, ['names key files']],
    ['known hosts', { via: [{ host: 'a', knownHosts: ['x'] }] }, ['names a known_hosts file']],
    [
      'a bind beyond loopback',
      { forwards: [{ ...V6, bind: { kind: 'tcp', host: '0.0.0.0', port: 1 } }] },
      ['binds 0.0.0.0:1, beyond loopback'],
    ],
  ])('%s', (_, profile, reasons) => {
    expect(needsTrust({ forwards: [V6], ...profile })).toEqual(reasons);
  });
});
