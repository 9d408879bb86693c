import { describe, expect, test } from 'vitest';
import { parseProfile } from '../../src/profile/parse.ts';
import type { Profile } from '../../src/model/profile.ts';

/** Every problem as `LINE:COL message`; a profile without one is an empty list. */
function problemsOf(text: string): string[] {
  const parsed = parseProfile(text, 'x.yaml');
  return parsed.ok ? [] : parsed.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

function profileOf(text: string): Profile {
  const parsed = parseProfile(text, 'x.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems, null, 2));
  return parsed.profile;
}

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port });
const FORWARDS = 'forwards:\n  - localhost:113 -> pop:113\n';

describe('the three forms of a local forward', () => {
  test.each([
    ['localhost:113 -> pop.example.org:113', tcp('localhost', 113), tcp('pop.example.org', 113)],
    ['1113->pop.example.org:113', tcp('localhost', 1113), tcp('pop.example.org', 113)],
    ['113:pop.example.org:113', tcp('localhost', 113), tcp('pop.example.org', 113)],
    ['127.0.0.2:113:pop.example.org:113', tcp('127.0.0.2', 113), tcp('pop.example.org', 113)],
    ["'[::1]:113:[2001:db8::1]:25'", tcp('::1', 113), tcp('2001:db8::1', 25)],
    ["'[::1]:113 -> [2001:db8::1]:25'", tcp('::1', 113), tcp('2001:db8::1', 25)],
    ['auto -> pop:113', tcp('localhost', 0), tcp('pop', 113)],
    ['8080:/run/app.sock', tcp('localhost', 8080), { kind: 'unix', path: '/run/app.sock' }],
    ['/run/a.sock:pop:113', { kind: 'unix', path: '/run/a.sock' }, tcp('pop', 113)],
    [
      'unix:/run/a.sock -> unix:/run/b.sock',
      { kind: 'unix', path: '/run/a.sock' },
      { kind: 'unix', path: '/run/b.sock' },
    ],
    ['unix:/run/a.sock:unix:/run/b.sock', { kind: 'unix', path: '/run/a.sock' }, { kind: 'unix', path: '/run/b.sock' }],
    ['{ local: 1143, to: "imap:143" }', tcp('localhost', 1143), tcp('imap', 143)],
    ['{ local: auto, to: "imap:143" }', tcp('localhost', 0), tcp('imap', 143)],
  ])('%s', (written, bind, target) => {
    const profile = profileOf(`via: pop\nforwards:\n  - ${written}\n`);

    expect(profile.forwards).toMatchObject([{ kind: 'local', bind, target }]);
  });
});

test('an object says everything a local forward can', () => {
  const profile = profileOf(`
via: alice@pop.example.org:2222
forwards:
  - local: 0.0.0.0:1143
    to: imap:143
    name: imap
    gateway: true
    allow: [10.0.0.0/8, 192.168.0.7, 'fd00::/8']
    expect: banner:/^\\* OK/
`);

  expect(profile).toEqual({
    via: [{ user: 'alice', host: 'pop.example.org', port: 2222 }],
    forwards: [
      {
        kind: 'local',
        bind: tcp('0.0.0.0', 1143),
        target: tcp('imap', 143),
        name: 'imap',
        gateway: true,
        allow: ['10.0.0.0/8', '192.168.0.7/32', 'fd00::/8'],
        expect: { kind: 'banner', pattern: '^\\* OK' },
      },
    ],
  });
});

test('the profile of the contract is read whole, apart from what is not supported yet', () => {
  const profile = profileOf(`
description: text
tags: [mail, home]
via:
  - bastion
  - host: pop.example.org
    port: 22
    user: alice
    identity: [~/.ssh/id_mail]
    agent: true
    auth: [publickey, keyboard-interactive, password]
    knownHosts: ~/.ssh/known_hosts
    hostKey: strict
    compression: false
    ciphers: [aes128-gcm@openssh.com]
    legacy: false
sshConfig: ~/.ssh/config
${FORWARDS}keepalive: { interval: 15s, maxMissed: 3 }
reconnect: { initial: 500ms, max: 30s, giveUpAfter: never }
timeouts: { connect: 10s, login: 30s, channel: 15s }
limits: { connections: 1024, perClient: 256 }
whileDown: { hold: 15s, queue: 256 }
probe: { every: 30s, timeout: 5s }
secrets: { password: { command: [pass, show, x] }, passphrase: keychain }
connections: 1
after: [vpn]
hooks: { up: notify-send up, down: [notify-send, down] }
`);

  expect(profile).toEqual({
    description: 'text',
    tags: ['mail', 'home'],
    via: [
      { host: 'bastion' },
      {
        host: 'pop.example.org',
        port: 22,
        user: 'alice',
        identity: ['~/.ssh/id_mail'],
        agent: true,
        auth: ['publickey', 'keyboard-interactive', 'password'],
        knownHosts: ['~/.ssh/known_hosts'],
        hostKey: { kind: 'strict' },
        compression: false,
        ciphers: ['aes128-gcm@openssh.com'],
        legacy: false,
      },
    ],
    sshConfig: '~/.ssh/config',
    forwards: [{ kind: 'local', bind: tcp('localhost', 113), target: tcp('pop', 113) }],
    keepalive: { intervalMs: 15_000, maxMissed: 3 },
    reconnect: { initialMs: 500, maxMs: 30_000, giveUpAfterMs: null },
    timeouts: { connectMs: 10_000, loginMs: 30_000, channelMs: 15_000 },
    limits: { connections: 1024, perClient: 256 },
    whileDown: { holdMs: 15_000, queue: 256 },
    probe: { everyMs: 30_000, timeoutMs: 5_000 },
    secrets: { password: { kind: 'command', argv: ['pass', 'show', 'x'] }, passphrase: { kind: 'keychain' } },
    connections: 1,
    after: ['vpn'],
    hooks: { up: 'notify-send up', down: ['notify-send', 'down'] },
  });
});

test('a wrong file tells every problem at once, each at its place, in the order of the file', () => {
  const problems = problemsOf(`descripton: POP
via:
  - host: pop
    prot: 22
    identity: ~
    auth: [publikey]
forwards:
  - localhost:113 => pop:113
  - lokal: 3
    to: a:1
  - local: 4
    to: a:99999
    idel: 3m
  - 12
  - local: 5
    to: a:1
    expect: pop
keepalive: { interval: 15, maxMissed: 0 }
whileDown: refus
reconnect: { giveUpAfter: nevr }
`);

  expect(problems).toEqual([
    '1:1 unknown field `descripton`: did you mean `description`?',
    '4:5 unknown field `prot`: did you mean `port`?',
    '5:15 `identity` has no value (YAML reads a bare ~ as none)',
    '6:12 entry 1 of `auth` is none of publickey, keyboard-interactive, password: did you mean `publickey`?',
    '8:5 entry 1 of `forwards` is no forward: write BIND -> TARGET, such as localhost:113 -> pop.example.org:113',
    '9:5 unknown field `lokal`: did you mean `local`?',
    '12:9 `to` is no target: write HOST:PORT, [IPv6]:PORT or unix:/PATH, with a port of 1 to 65535',
    '13:5 unknown field `idel`: did you mean `idle`?',
    '14:5 entry 4 of `forwards` must be text or fields of its own: put it in quotes',
    '17:13 `expect` is none of tcp, pop3, imap, smtp, http, tls, ssh, banner:/REGEX/: did you mean `pop3`?',
    '18:24 `interval` needs a unit, such as 15s',
    '18:39 `maxMissed` must be 1 to 1000',
    '19:12 `whileDown` must be refuse or { hold: 15s, queue: 256 }',
    '20:27 `giveUpAfter` is no duration: write 15s, 10m, 2h and the like, or never',
  ]);
});

describe('the number of SSH connections', () => {
  const written = (connections: string): string => `via: pop\nforwards: [1143:imap:143]\nconnections: ${connections}\n`;

  test.each(['1', '16', 'auto'])('may be %s', (connections) => {
    expect(problemsOf(written(connections))).toEqual([]);
  });

  test.each(['0', '17'])('is not %s', (connections) => {
    expect(problemsOf(written(connections))).toEqual(['3:14 `connections` must be 1 to 16']);
  });
});

describe('what contradicts itself', () => {
  test.each([
    ['a probe of nothing', '  - { socks: 1080, expect: tcp }', '3:28 `expect` needs `expectAt: HOST:PORT`'],
    ['idle without on-demand', '  - { local: 1, to: "a:1", idle: 3s }', '3:34 `idle` needs `open: on-demand`'],
    [
      'a lifetime without on-demand',
      '  - { local: 1, to: "a:1", lifetime: 3s }',
      '3:38 `lifetime` needs `open: on-demand`',
    ],
    ['a relay on demand', '  - { relay: 1, to: "a:1", open: on-demand }', '3:34 `open: on-demand` is of no use here'],
    ['a UDP relay to a socket', '  - { relay: 1, protocol: udp, to: "unix:/x" }', '3:36 `to` names a unix socket'],
    ['a UDP relay at a socket', '  - { relay: "unix:/x", protocol: udp, to: "a:1" }', '3:14 `relay` is a unix socket'],
    [
      'a TCP probe over UDP',
      '  - { relay: 1, protocol: udp, to: "a:1", expect: http }',
      '3:51 `expect: http` asks by TCP',
    ],
    ['a UDP probe over TCP', '  - { relay: 1, to: "a:1", expect: { send: x } }', '3:36 `expect: { send }` asks by UDP'],
    [
      'a text header before datagrams',
      '  - { relay: 1, protocol: udp, to: "a:1", proxyProtocol: v1 }',
      '3:58 `proxyProtocol: v1` has no form for UDP',
    ],
    ['a relay that is idle', '  - { relay: 1, to: "a:1", idle: 3s }', '3:34 `idle` needs `open: on-demand`'],
    [
      'a trigger for many',
      '  - { trigger: 1, to: "a:1", opens: [{ remote: 2, to: "client:3" }], clients: many }',
      '3:79 `clients: many` is not for a trigger',
    ],
    [
      'a trigger on a Unix socket',
      '  - { trigger: "unix:/run/x", to: "a:1", opens: [{ remote: 2, to: "client:3" }] }',
      '3:16 `trigger` must be a TCP port',
    ],
    [
      'one client at a time on a Unix socket',
      '  - { local: "unix:/run/x", to: "a:1", clients: queue }',
      '3:49 `clients: queue` is not for a Unix socket',
    ],
    [
      'the mode of a file that is none',
      '  - { local: 1, to: "a:1", access: group }',
      '3:36 `access` is for a Unix socket of this machine',
    ],
    [
      'addresses for a Unix socket',
      '  - { remote: "unix:/run/x", to: "a:1", allow: [10.0.0.0/8] }',
      '3:48 `allow` is not for a Unix socket',
    ],
    ['a bind beyond loopback', '  - { local: "*:80", to: "a:1" }', '3:14 `local` binds beyond loopback'],
    [
      'a bind beyond loopback in short form',
      '  - 0.0.0.0:80 -> a:1',
      '3:5 entry 1 of `forwards` binds beyond loopback',
    ],
    [
      'a mapping of what the router cannot reach',
      '  - { relay: "localhost:80", to: "a:1", map: { port: 80 } }',
      '3:46 `map` needs a listener that the router can reach: bind 0.0.0.0',
    ],
    [
      'a mapping of what the server listens for',
      '  - { remote: "0.0.0.0:80", to: "a:1", map: { port: 80 } }',
      '3:45 `map` asks the router of this machine, and here the SSH server listens',
    ],
    [
      'a mapping of an IPv6 listener',
      '  - { relay: "[::]:80", to: "a:1", map: { port: 80 } }',
      '3:41 `map` asks for a port of the IPv4 address',
    ],
    [
      'a mapping of a proxy for everybody',
      '  - { socks: "*:1080", gateway: true, map: { port: 80 } }',
      '3:44 `map` beside a proxy needs `auth`',
    ],
    [
      'a mapping of another protocol',
      '  - { relay: "*:80", to: "a:1", map: { port: 80, protocol: udp } }',
      '3:38 `map` says udp, and the forward is tcp',
    ],
    [
      'a port of the router twice',
      '  - { relay: "*:80", to: "a:1", map: { port: 80 } }\n  - { relay: "*:81", to: "a:1", map: { port: 80 } }',
      '4:38 asks the router for port 80, as entry 1 of `forwards` does already',
    ],
    ['two kinds in one', '  - { local: 1, socks: 2 }', '3:5 entry 1 of `forwards` has `local` and `socks`'],
    ['no kind', '  - { to: "a:1" }', '3:5 entry 1 of `forwards` names no kind'],
    [
      'one port twice',
      '  - 80:a:1\n  - 127.0.0.1:80:b:1',
      '4:5 binds 127.0.0.1:80, which entry 1 of `forwards` binds already',
    ],
    [
      'one name twice',
      '  - { local: 1, to: "a:1", name: n }\n  - { local: 2, to: "a:1", name: n }',
      '4:34 the name `n` is taken',
    ],
  ])('%s', (_, forwards, problem) => {
    const problems = problemsOf(`via: pop\nforwards:\n${forwards}\n`);

    expect(problems.map((text) => text.slice(0, problem.length))).toEqual([problem]);
  });

  test('an open door and a port taken twice are told beside other mistakes of the same forward', () => {
    const forwards = '  - { local: "*:80", to: "a:1", idel: 3s }\n  - { local: 80, to: "a:99999" }\n';

    expect(problemsOf(`via: pop\nforwards:\n${forwards}`).map((problem) => problem.slice(0, 30))).toEqual([
      '3:14 `local` binds beyond loop',
      '3:33 unknown field `idel`: did',
      '4:22 `to` is no target: write ',
    ]);
    expect(problemsOf(`via: pop\nforwards:\n  - 80:a:1\n  - { local: 80, to: "a:99999" }\n`)).toHaveLength(2);
  });

  test('a mistyped `via` is not missing as well', () => {
    expect(problemsOf('vai: pop\nforwards: ["1:a:1"]\n')).toEqual(['1:1 unknown field `vai`: did you mean `via`?']);
  });

  test.each([
    ['localhost:99999 -> x:1', 'the port 99999 of localhost:99999 is out of range, a port is 1 to 65535'],
    ['localhost -> x:1', 'localhost has no port: write localhost:PORT'],
    ['localhost:1 -> x', 'x has no port: write x:PORT'],
    ['"[::1] -> x:1"', '[::1] has no port: write [::1]:PORT'],
    ['1 -> x:70000', 'the port 70000 of x:70000 is out of range, a port is 1 to 65535'],
    ['1 -> x:0', 'the port 0 of x:0 is out of range, a port is 1 to 65535'],
    ['99999:x:1', 'the port 99999 of 99999:x:1 is out of range, a port is 1 to 65535'],
    ['1 -> 2', 'write BIND -> TARGET, such as localhost:113 -> pop.example.org:113'],
    ['"a b:1 -> x:1"', 'write BIND -> TARGET, such as localhost:113 -> pop.example.org:113'],
  ])('the forward %s is told what its port lacks', (text, why) => {
    expect(problemsOf(`via: pop\nforwards:\n  - ${text}\n`)).toEqual([
      `3:5 entry 1 of \`forwards\` is no forward: ${why}`,
    ]);
  });

  test('a value in place of fields is shown how the fields are written', () => {
    const text = 'via: pop\nforwards: [1:a:1]\nkeepalive: 15\nlimits: many\nreconnect: []\n';
    expect(problemsOf(text)).toEqual([
      '3:12 `keepalive` must be fields of its own, such as { interval: 15s, maxMissed: 3 }',
      '4:9 `limits` must be fields of its own, such as { connections: 1024, perClient: 256 }',
      '5:12 `reconnect` must be fields of its own, such as { initial: 500ms, max: 30s }',
    ]);
  });

  test('free ports and ports that differ clash with nothing', () => {
    expect(problemsOf('via: pop\nforwards: ["auto -> a:1", "auto -> a:1", "1:a:1", "2:a:1"]\n')).toEqual([]);
  });

  test('forwards over SSH need a server, and a wrong forward hides that from nobody', () => {
    expect(problemsOf('forwards:\n  - 1:a:1\n  - nonsense\n')).toEqual([
      '1:1 `via` is missing: these forwards need an SSH server, such as alice@pop.example.org',
      '3:5 entry 2 of `forwards` is no forward: write BIND -> TARGET, such as localhost:113 -> pop.example.org:113',
    ]);
  });
});

describe('secrets never stand in a profile', () => {
  test.each([
    `via: { host: pop, password: hunter2 }\n${FORWARDS}`,
    `password: hunter2\nvia: pop\n${FORWARDS}`,
    `via: pop\nsecrets: { password: hunter2 }\n${FORWARDS}`,
    `via: pop\nhooks: { passphrase: hunter2 }\n${FORWARDS}`,
    `via: alice:hunter2@pop\n${FORWARDS}`,
  ])('%s', (text) => {
    const problems = problemsOf(text);

    expect(problems).toHaveLength(1);
    expect(problems[0]).not.toContain('hunter2');
    expect(problems[0]).toMatch(/tunnel secret set (password USER@HOST|passphrase KEYFILE)|never stands in a profile/);
  });
});

describe('short forms that YAML cannot hold bare get the advice to quote them', () => {
  test.each([
    ['  - [::1]:113 -> x:1', "'[::1]:113 -> x:1'"],
    ['  - *:8080 -> web:80', "'*:8080 -> web:80'"],
    ['  - [::1]:113:x:1   # comment', "'[::1]:113:x:1'"],
    ['  - local: *:8080\n    to: web:80', "'*:8080'"],
    ['  - local: [::1]:8080\n    to: web:80', "'[::1]:8080'"],
  ])('%s', (forwards, quoted) => {
    const problems = problemsOf(`via: pop\nforwards:\n${forwards}\n`);

    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^3:\d+ put this in quotes/);
    expect(problems[0]).toContain(quoted);
  });

  test('and the rest of the file is still looked at', () => {
    const problems = problemsOf('via: pop\nforwards:\n  - [::1]:113 -> x:1\n  - nonsense\nviaa: x\n');

    expect(problems.map((problem) => problem.slice(0, 3))).toEqual(['3:1', '4:5', '5:1']);
  });
});

test('the place of every value can be looked up, of an absent one that of its parent', () => {
  const parsed = parseProfile(`via:\n  - host: pop\n    port: 22\n${FORWARDS}`, 'x.yaml');
  if (!parsed.ok) throw new Error('it is right');

  expect(parsed.lines(['via', 0, 'port'])).toEqual({ line: 3, column: 11 });
  expect(parsed.lines(['via', 0, 'user'])).toEqual({ line: 2, column: 5 });
  expect(parsed.lines(['forwards', 0, 'bind'])).toEqual({ line: 5, column: 5 });
});

test('a pinned fingerprint is read in each way it is written', () => {
  const print = `SHA256:${'a'.repeat(43)}`;
  const ways = [print, `"fingerprint: ${print}"`, `{ fingerprint: ${print} }`, `{ fingerprint: [${print}] }`];

  const read = ways.map((way) => profileOf(`via: { host: pop, hostKey: ${way} }\n${FORWARDS}`).via?.[0]?.hostKey);

  expect(read).toEqual(ways.map(() => ({ kind: 'fingerprint', fingerprints: [print] })));
});
