import { describe, expect, test } from 'vitest';
import { bindsOverlap } from '../../src/model/overlap.ts';
import { parseEndpoint, type Endpoint } from '../../src/model/endpoint.ts';
import { parseHop } from '../../src/model/hop-spec.ts';
import { parseDuration, formatDuration } from '../../src/model/duration.ts';
import { nearest } from '../../src/model/nearest.ts';
import { parseDynamicForward, parseRemoteForward, type ForwardSpec } from '../../src/model/forward-spec.ts';
import type { DemandPlan, HopPlan, LocalForwardPlan, MapPlan, Plan } from '../../src/model/plan.ts';
import type { HopSpec, Profile } from '../../src/model/profile.ts';
import { bindConflicts } from '../../src/plan/conflicts.ts';
import { hopChain } from '../../src/plan/hops.ts';
import { resolvePlan, type ResolveFacts } from '../../src/plan/resolve.ts';
import { NO_SETTINGS, type SshSettings } from '../../src/ssh-config/settings.ts';

const FACTS: ResolveFacts = {
  name: 'pop',
  file: '/home/al/p/pop.yaml',
  systemSshDir: '/etc/ssh',
  local: { user: 'al', home: '/home/al', uid: 1000, hostName: 'desk.example.org', env: { KEYS: '/keys' } },
};
const endpoint = (text: string): Endpoint => {
  const parsed = parseEndpoint(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};
const local = (bind: string, name?: string) => ({
  kind: 'local' as const,
  bind: endpoint(bind),
  target: endpoint('pop:113'),
  ...(name === undefined ? {} : { name }),
});

/** Resolves with one set of settings for each host that is named, none for the others. */
async function resolved(profile: Partial<Profile>, config: Readonly<Record<string, Partial<SshSettings>>> = {}) {
  const query = (spec: HopSpec) => Promise.resolve({ ...NO_SETTINGS, ...config[spec.host] });
  const whole = { forwards: [], ...profile };
  return resolvePlan(whole, await hopChain(whole.via ?? [], query), FACTS);
}
async function planOf(...args: Parameters<typeof resolved>): Promise<Plan> {
  const result = await resolved(...args);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.plan;
}
async function serverOf(spec: Partial<HopSpec>, settings: Partial<SshSettings> = {}): Promise<Partial<HopPlan>> {
  const plan = await planOf({ via: [{ host: 'pop', ...spec }] }, { pop: settings });
  return plan.hops.at(-1) ?? {};
}
async function problemsOf(...args: Parameters<typeof resolved>) {
  const result = await resolved(...args);
  return result.ok ? [] : result.problems;
}

test('a profile that says next to nothing becomes a plan with nothing left open', async () => {
  const plan = await planOf({ via: [{ host: 'pop.example.org', user: 'alice' }], forwards: [local('localhost:113')] });

  expect(plan).toEqual({
    name: 'pop',
    file: '/home/al/p/pop.yaml',
    description: '',
    tags: [],
    hops: [
      {
        label: 'alice@pop.example.org',
        host: 'pop.example.org',
        port: 22,
        user: 'alice',
        hostKeyName: 'pop.example.org',
        addressFamily: 'any',
        bindAddress: null,
        proxyCommand: null,
        identities: ['id_rsa', 'id_ecdsa', 'id_ecdsa_sk', 'id_ed25519', 'id_ed25519_sk'].map((name) => ({
          file: `/home/al/.ssh/${name}`,
          explicit: false,
        })),
        certificates: [],
        identitiesOnly: false,
        agent: 'environment',
        auth: ['publickey', 'keyboard-interactive', 'password'],
        knownHosts: [
          '/home/al/.ssh/known_hosts',
          '/home/al/.ssh/known_hosts2',
          '/etc/ssh/ssh_known_hosts',
          '/etc/ssh/ssh_known_hosts2',
        ],
        hostKey: { kind: 'strict' },
        hashKnownHosts: false,
        updateHostKeys: 'yes',
        revokedHostKeys: null,
        caSignatureAlgorithms: null,
        compression: false,
        ciphers: null,
        kex: null,
        macs: null,
        hostKeyAlgorithms: null,
        legacy: false,
        rekey: { bytes: null, everyMs: null },
      },
    ],
    forwards: [
      {
        kind: 'local',
        name: 'localhost:113',
        bind: { kind: 'tcp', host: 'localhost', port: 113 },
        target: { kind: 'tcp', host: 'pop', port: 113 },
        allow: null,
        expect: null,
        demand: null,
        clients: 'many',
      },
    ],
    keepalive: { intervalMs: 15_000, maxMissed: 3 },
    reconnect: { initialMs: 500, maxMs: 30_000, giveUpAfterMs: null },
    timeouts: { connectMs: 10_000, loginMs: 30_000, channelMs: 15_000 },
    limits: { connections: 1024, perClient: 256, perLocalClient: 1024 },
    whileDown: { hold: true, holdMs: 15_000, queue: 256 },
    probe: { everyMs: 30_000, timeoutMs: 5_000 },
    secrets: { password: { kind: 'keychain' }, passphrase: { kind: 'keychain' }, totp: { kind: 'keychain' } },
    connections: 1,
    after: [],
    hooks: { up: null, down: null, waiting: null },
    warnings: [],
  });
});

describe('the profile wins over ssh_config, ssh_config over the defaults', () => {
  test.each<[string, Partial<HopSpec>, Partial<SshSettings>, Partial<HopPlan>]>([
    [
      'host and port of ssh_config',
      {},
      { hostName: '10.0.0.1', port: 2222, user: 'bob' },
      { host: '10.0.0.1', port: 2222, user: 'bob', hostKeyName: '10.0.0.1', label: 'pop' },
    ],
    ['port and user of the profile', { port: 1, user: 'al' }, { port: 2222, user: 'bob' }, { port: 1, user: 'al' }],
    [
      'HostKeyAlias',
      {},
      { hostName: '10.0.0.1', hostKeyAlias: 'pop.lan' },
      { host: '10.0.0.1', hostKeyName: 'pop.lan' },
    ],
    [
      '%h in a HostName that a library read',
      {},
      { source: 'library', hostName: '%h.example.org' },
      { host: 'pop.example.org' },
    ],
    [
      'IdentityFile with its tokens',
      {},
      { identityFiles: ['~/.ssh/%r@%h', '${KEYS}/%n', '%d/x'], user: 'bob', hostName: 'h', certificateFiles: ['~/c'] },
      {
        identities: ['/home/al/.ssh/bob@h', '/keys/pop', '/home/al/x'].map((file) => ({ file, explicit: true })),
        certificates: ['/home/al/c'],
      },
    ],
    [
      'identity of the profile, without tokens, relative to its file',
      { identity: ['~/a', 'b%h', '/c'] },
      { identityFiles: ['~/.ssh/x'], certificateFiles: ['~/c'] },
      {
        identities: ['/home/al/a', '/home/al/p/b%h', '/c'].map((file) => ({ file, explicit: true })),
        certificates: [],
      },
    ],
    ['IdentityFile none', {}, { identityFiles: [] }, { identities: [] }],
    [
      'no usual file that no server takes',
      {},
      { defaultIdentityFiles: ['~/.ssh/id_ed25519', '~/.ssh/id_dsa'] },
      { identities: [{ file: '/home/al/.ssh/id_ed25519', explicit: false }] },
    ],
    ['the agent of ssh_config', {}, { identityAgent: '~/agent.sock' }, { agent: '/home/al/agent.sock' }],
    ['no agent by ssh_config', {}, { identityAgent: 'none' }, { agent: null }],
    ['an agent by the profile', { agent: true }, { identityAgent: 'none' }, { agent: 'environment' }],
    ['no agent by the profile', { agent: false }, { identityAgent: '~/agent.sock' }, { agent: null }],
    ['an agent by a variable', {}, { identityAgent: '$KEYS' }, { agent: '/keys' }],
    ['the order of the profile', { auth: ['password'] }, { refusedMethods: ['password'] }, { auth: ['password'] }],
    [
      'PreferredAuthentications',
      {},
      { preferredAuthentications: ['gssapi-with-mic', 'password', 'publickey'] },
      { auth: ['password', 'publickey'] },
    ],
    [
      'methods that are switched off',
      {},
      { refusedMethods: ['password', 'keyboard-interactive'] },
      { auth: ['publickey'] },
    ],
    [
      'knownHosts in place of both',
      { knownHosts: ['~/k'] },
      { userKnownHosts: ['~/u'], globalKnownHosts: ['/g'] },
      { knownHosts: ['/home/al/k'], updateHostKeys: 'no' },
    ],
    [
      'known hosts of ssh_config',
      {},
      { userKnownHosts: ['~/u'], globalKnownHosts: [] },
      { knownHosts: ['/home/al/u'], updateHostKeys: 'no' },
    ],
    ['StrictHostKeyChecking no', {}, { strictHostKeyChecking: 'no' }, { hostKey: { kind: 'accept-new' } }],
    [
      'hostKey of the profile',
      { hostKey: { kind: 'strict' } },
      { strictHostKeyChecking: 'no' },
      { hostKey: { kind: 'strict' } },
    ],
    [
      'ProxyCommand with its tokens',
      {},
      { proxyCommand: 'nc %h %p # %% %r %n', hostName: 'h' },
      { proxyCommand: 'nc h 22 # % al pop' },
    ],
    ['proxyCommand: none', { proxyCommand: 'none' }, { proxyCommand: 'nc %h %p' }, { proxyCommand: null }],
    ['RekeyLimit', {}, { rekeyBytes: 1024, rekeySeconds: 60 }, { rekey: { bytes: 1024, everyMs: 60_000 } }],
  ])('%s', async (_, spec, settings, expected) => {
    expect(await serverOf(spec, settings)).toMatchObject(expected);
  });

  test('times of the last hop are those of the link, unless the profile says otherwise', async () => {
    const server = { serverAliveSeconds: 7, serverAliveCountMax: 5, connectTimeoutSeconds: 9 };
    const via = [{ host: 'jump' }, { host: 'pop' }];

    const byConfig = await planOf({ via }, { pop: server, jump: { serverAliveSeconds: 1 } });
    const byProfile = await planOf({ via, keepalive: { intervalMs: 3 }, timeouts: { connectMs: 4 } }, { pop: server });

    expect([byConfig.keepalive, byConfig.timeouts.connectMs]).toEqual([{ intervalMs: 7_000, maxMissed: 5 }, 9_000]);
    expect([byProfile.keepalive, byProfile.timeouts.connectMs]).toEqual([{ intervalMs: 3, maxMissed: 5 }, 4]);
  });

  test.each<[Profile['reconnect'], Partial<Plan['reconnect']>]>([
    [{ maxMs: 100 }, { initialMs: 100, maxMs: 100 }],
    [{ initialMs: 60_000 }, { initialMs: 60_000, maxMs: 60_000 }],
    [{ giveUpAfterMs: 5 }, { giveUpAfterMs: 5 }],
  ])('the delays %j keep their order', async (reconnect, expected) => {
    expect((await planOf({ reconnect })).reconnect).toMatchObject(expected);
  });
});

test.each<[Partial<ForwardSpec>, DemandPlan | null]>([
  [{}, null],
  [{ open: 'always' }, null],
  [{ open: 'on-demand' }, { idleMs: 600_000, lifetimeMs: null }],
  [
    { open: 'on-demand', idleMs: 5_000 },
    { idleMs: 5_000, lifetimeMs: null },
  ],
  [
    { open: 'on-demand', lifetimeMs: 60_000 },
    { idleMs: 600_000, lifetimeMs: 60_000 },
  ],
  [
    { open: 'on-demand', lifetimeMs: null },
    { idleMs: 600_000, lifetimeMs: null },
  ],
])('a forward that says %j opens and closes by %j', async (said, demand) => {
  const spec = { ...local('localhost:113'), ...said } as ForwardSpec;

  expect((await planOf({ forwards: [spec] })).forwards).toMatchObject([{ demand }]);
});

test('a trigger is for one client at a time, and its idle time is that of its ports', async () => {
  const opens = [{ bind: endpoint('0.0.0.0:7078'), clientPort: 7078 }];
  const trigger = { kind: 'trigger' as const, bind: endpoint('localhost:5060'), target: endpoint('voip:5060'), opens };
  const forwards: ForwardSpec[] = [
    trigger,
    { ...trigger, open: 'on-demand', idleMs: 5_000, clients: 'queue', name: 'sip' },
  ];

  expect((await planOf({ forwards })).forwards).toMatchObject([
    { kind: 'trigger', name: 'localhost:5060', opens, idleMs: 600_000, demand: null, clients: 'exclusive' },
    { name: 'sip', idleMs: 5_000, demand: { idleMs: 0, lifetimeMs: null }, clients: 'queue' },
  ]);
});

describe('the chain of hops', () => {
  const labels = async (via: HopSpec[], config: Record<string, Partial<SshSettings>>) =>
    (await planOf({ via }, config)).hops.map(({ label, proxyCommand }) =>
      proxyCommand === null ? label : `${label} by ${proxyCommand}`,
    );

  test('ProxyJump comes before the server, each jump host by its own settings', async () => {
    const config = { pop: { proxyJump: 'al@one:2222,two' }, one: { proxyCommand: 'nc' }, two: { proxyCommand: 'nc' } };

    expect(await labels([{ host: 'pop' }], config)).toEqual(['al@one:2222 by nc', 'two', 'pop']);
  });

  test('a jump host may have a jump host, but only the first of a list', async () => {
    const config = { pop: { proxyJump: 'one,two' }, one: { proxyJump: 'zero' }, two: { proxyJump: 'never' } };

    expect(await labels([{ host: 'pop' }], config)).toEqual(['zero', 'one', 'two', 'pop']);
  });

  test('a list in the profile is the chain: only its first entry is reached as ssh_config says', async () => {
    const config = { pop: { proxyJump: 'never', proxyCommand: 'never' }, one: { proxyJump: 'zero' } };

    expect(await labels([{ host: 'one' }, { host: 'pop' }], config)).toEqual(['zero', 'one', 'pop']);
  });

  test('a proxy command of the profile replaces a jump host of ssh_config', async () => {
    expect(await labels([{ host: 'pop', proxyCommand: 'nc' }], { pop: { proxyJump: 'one' } })).toEqual(['pop by nc']);
  });

  test('a circle is named, by where the hosts really are', async () => {
    const config = {
      pop: { hostName: '10.0.0.1', proxyJump: 'one' },
      one: { proxyJump: 'alias' },
      alias: { hostName: '10.0.0.1' },
    };

    expect(await problemsOf({ via: [{ host: 'pop' }] }, config)).toEqual([
      {
        path: ['via', 0],
        message: 'ssh_config: ProxyJump leads in a circle: 10.0.0.1:22 through one:22 through 10.0.0.1:22',
      },
    ]);
  });

  test.each<[string, HopSpec[], Partial<SshSettings>, (string | number)[], string]>([
    [
      'a proxy command in the middle',
      [{ host: 'a' }, { host: 'pop', proxyCommand: 'nc' }],
      {},
      ['via', 1, 'proxyCommand'],
      'first entry',
    ],
    ['a jump host that cannot be read', [{ host: 'pop' }], { proxyJump: 'a b' }, ['via', 0], 'cannot be read'],
    ['a token that there is not', [{ host: 'pop' }], { identityFiles: ['%z'] }, ['via', 0], '%z'],
    ['a variable that is not set', [{ host: 'pop' }], { identityFiles: ['${NOPE}'] }, ['via', 0], 'NOPE'],
    [
      'a host name that a shell would act on',
      [{ host: 'pop' }],
      { hostName: '$(x)', proxyCommand: 'nc %h' },
      ['via', 0],
      'HostName',
    ],
    [
      'a user name that a shell would act on',
      [{ host: 'pop' }],
      { user: 'a;b', proxyCommand: 'nc %r' },
      ['via', 0],
      'User',
    ],
  ])('%s is a problem at its entry', async (_, via, settings, path, words) => {
    const problems = await problemsOf({ via }, { pop: settings });

    expect(problems).toHaveLength(1);
    expect(problems[0]?.path).toEqual(path);
    expect(problems[0]?.message).toContain(words);
  });
});

test('every forward has a name of its own', async () => {
  const forwards = [
    local('auto'),
    local('auto'),
    local('localhost:1', 'localhost:2'),
    local('localhost:2'),
    local('unix:/x'),
  ];

  const plan = await planOf({ via: [{ host: 'pop' }], forwards });

  expect(plan.forwards.map(({ name }) => name)).toEqual([
    'auto-pop:113',
    'auto-pop:113-2',
    'localhost:2',
    'localhost:2-2',
    'unix:/x',
  ]);
});

test('a relay has its defaults filled in, and is warned of where everybody can reach it', async () => {
  const forwards = ['unix:/x', '0.0.0.0:80', 'localhost:81'].map((bind, index) => ({
    kind: 'relay' as const,
    bind: endpoint(bind),
    targets: [endpoint('a:1')],
    ...(index === 2 ? { name: 'c', protocol: 'udp' as const, idleMs: 1_000 } : {}),
  }));

  const plan = await planOf({ forwards, timeouts: { connectMs: 2_000 } });

  expect(plan.hops).toEqual([]);
  expect(plan.forwards[0]).toEqual({
    kind: 'relay',
    name: 'unix:/x',
    bind: endpoint('unix:/x'),
    targets: [endpoint('a:1')],
    protocol: 'tcp',
    choose: 'failover',
    proxyProtocol: null,
    connectMs: 2_000,
    idleMs: 120_000,
    allow: null,
    expect: null,
    demand: null,
    clients: 'many',
  });
  expect(plan.forwards[2]).toMatchObject({ name: 'c', protocol: 'udp', idleMs: 1_000 });
  expect(plan.warnings).toEqual(['0.0.0.0:80 has no `allow` list: everybody who can reach this machine can use it']);
});

describe('two bind addresses want one port', () => {
  test.each([
    ['localhost:1', '127.0.0.1:1', true],
    ['localhost:1', '[::1]:1', true],
    ['localhost:1', '0.0.0.0:1', true],
    ['localhost:1', '*:1', true],
    ['127.0.0.1:1', '[::1]:1', false],
    ['0.0.0.0:1', '[::1]:1', false],
    ['[::]:1', '127.0.0.1:1', true],
    ['127.0.0.1:1', '127.0.0.2:1', false],
    ['localhost:1', 'localhost:2', false],
    ['localhost:0', 'localhost:0', false],
    ['unix:/x', 'unix:/x', true],
    ['unix:/x', 'unix:/y', false],
    ['unix:/x', 'localhost:1', false],
    ['Desk:1', 'desk:1', true],
  ])('%s and %s: %s', (one, other, overlap) => {
    expect([bindsOverlap(endpoint(one), endpoint(other)), bindsOverlap(endpoint(other), endpoint(one))]).toEqual([
      overlap,
      overlap,
    ]);
  });

  test('plans of one `up` are compared with each other, not with themselves', () => {
    const plan = (name: string, ...binds: string[]) => ({
      name,
      forwards: binds.map((bind): LocalForwardPlan => ({
        ...local(bind),
        name: bind,
        allow: null,
        expect: null,
        demand: null,
        clients: 'many',
      })),
    });
    const plans = [plan('a', 'localhost:1', '127.0.0.1:1'), plan('b', 'localhost:2'), plan('c', '127.0.0.1:2')];

    expect(bindConflicts(plans)).toEqual([
      {
        first: { plan: 'b', forward: 'localhost:2' },
        second: { plan: 'c', forward: '127.0.0.1:2' },
        bind: '127.0.0.1:2',
      },
    ]);
  });
});

test('two plans that want one port of the router are told so, and two protocols are two ports', () => {
  const plan = (name: string, port: number, map: MapPlan) => ({
    name,
    forwards: [
      { ...local(`0.0.0.0:${port}`), name, allow: null, expect: null, demand: null, clients: 'many' as const, map },
    ],
  });
  const plans = [
    plan('a', 1, { port: 80, protocol: 'tcp' }),
    plan('b', 2, { port: 80, protocol: 'tcp' }),
    plan('c', 3, { port: 80, protocol: 'udp' }),
  ];

  expect(bindConflicts(plans)).toEqual([
    { first: { plan: 'a', forward: 'a' }, second: { plan: 'b', forward: 'b' }, bind: 'port 80 (TCP) of the router' },
  ]);
});

test.each([
  [undefined, 'the whole Internet can use it'],
  [['192.168.0.0/16', 'fd00::/8'], 'nobody from the Internet comes in by its `map`'],
  [['192.168.0.0/16', '12.0.0.0/8'], undefined],
  [['0.0.0.0/0'], undefined],
])('a mapping with allow %j: %s', async (allow, warning) => {
  const bind = { kind: 'tcp', host: '0.0.0.0', port: 80 } as const;
  const { warnings } = await planOf({ forwards: [{ kind: 'relay', bind, targets: [bind], allow, map: { port: 80 } }] });

  expect(warnings.map((text) => warning !== undefined && text.endsWith(warning))).toEqual(warning ? [true] : []);
});

describe('words of the command line', () => {
  test.each([
    ['alice@pop.example.org', { user: 'alice', host: 'pop.example.org' }],
    ['al@corp@pop:2222', { user: 'al@corp', host: 'pop', port: 2222 }],
    ['[::1]:22', { host: '::1', port: 22 }],
    ['::1', { host: '::1' }],
    ['ssh://alice@pop:22/', { user: 'alice', host: 'pop', port: 22 }],
    ['-oProxyCommand=x', undefined],
    ['a b', undefined],
    ['$(x)@pop', undefined],
    ['al:pw@pop', undefined],
    ['pop:0', undefined],
    ['pop:65536', undefined],
    ['', undefined],
  ])('a server: %s', (text, hop) => {
    expect(parseHop(text)).toEqual(hop);
  });

  test.each([
    ['500ms', 500],
    ['15s', 15_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['0s', undefined],
    ['25d', undefined],
    ['15', undefined],
    ['-1s', undefined],
    ['1 s', undefined],
    ['1e3s', undefined],
  ])('a duration: %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
    if (ms !== undefined) expect(parseDuration(formatDuration(ms))).toBe(ms);
  });

  test('forwards of -R and -D', () => {
    expect(parseRemoteForward('8080:localhost:3000')).toEqual({
      kind: 'remote',
      bind: endpoint('localhost:8080'),
      target: endpoint('localhost:3000'),
    });
    expect(parseRemoteForward('1080')).toEqual({ kind: 'remote-socks', bind: endpoint('localhost:1080') });
    expect(parseDynamicForward('*:1080')).toEqual({ kind: 'socks', bind: endpoint('*:1080') });
    expect(parseDynamicForward('a:b:c')).toBeUndefined();
  });

  test.each([
    ['forwrds', 'forwards'],
    ['hots', 'host'],
    ['HOST', 'host'],
    ['pop', 'pop-mail'],
    ['xyz', undefined],
    ['', undefined],
  ])('the name nearest to %s', (word, near) => {
    expect(nearest(word, ['forwards', 'host', 'pop-mail'])).toBe(near);
  });
});

test.each([
  ['a path beside the profile', 'mail-password', {}, '/home/al/p/mail-password'],
  ['a credential by its folder', '$CREDENTIALS_DIRECTORY/mail-password', {}, 'mail-password'],
  ['a credential by its name alone', 'mail-password', { CREDENTIALS_DIRECTORY: '/run/credentials/x' }, 'mail-password'],
  ['a path in a service', '~/mail-password', { CREDENTIALS_DIRECTORY: '/run/credentials/x' }, '/home/al/mail-password'],
])('the file of a secret may be %s', async (_what, path, env, resolvedPath) => {
  const profile: Profile = {
    forwards: [local('localhost:113')],
    via: [{ host: 'pop' }],
    secrets: { password: { kind: 'file', path } },
  };
  const chain = await hopChain(profile.via ?? [], () => Promise.resolve(NO_SETTINGS));
  const result = resolvePlan(profile, chain, { ...FACTS, local: { ...FACTS.local, env } });
  expect(result.ok && result.plan.secrets.password).toEqual({ kind: 'file', path: resolvedPath });
});
