import { describe, expect, test } from 'vitest';
import { readSshLine } from '../../src/cli/wizard/ssh-line.ts';
import { shellWords } from '../../src/cli/wizard/shell-words.ts';
import type { FailureCode } from '../../src/model/failure.ts';
import type { Profile } from '../../src/model/profile.ts';

const pop3 = local('localhost', 113, 'pop.example.org', 113);

describe('an ssh -L line as a profile', () => {
  test.each<[line: string, profile: Profile]>([
    [
      'ssh -L 113:pop.example.org:113 alice@pop.example.org',
      { via: [{ host: 'pop.example.org', user: 'alice' }], forwards: [pop3] },
    ],
    [
      '/usr/bin/ssh -fNL113:pop.example.org:113 -p2222 -l alice pop.example.org',
      { via: [{ host: 'pop.example.org', port: 2222, user: 'alice' }], forwards: [pop3] },
    ],
    [
      'ssh mail -N -L 113:pop.example.org:113 -L 127.0.0.1:1143:[::1]:143',
      { via: [{ host: 'mail' }], forwards: [pop3, local('127.0.0.1', 1143, '::1', 143)] },
    ],
    [
      "ssh -J 'bastion,bob@inner:2200' -i '~/my keys/id' -L 113:pop.example.org:113 ssh://alice@pop.example.org:22/",
      {
        via: [
          { host: 'bastion' },
          { host: 'inner', port: 2200, user: 'bob' },
          { host: 'pop.example.org', port: 22, user: 'alice', identity: ['~/my keys/id'] },
        ],
        forwards: [pop3],
      },
    ],
    [
      'ssh -F none -i key -i ../id -o UserKnownHostsFile="hosts ~/more" -L 113:pop.example.org:113 h',
      {
        via: [{ host: 'h', identity: ['/home/a/key', '/home/id'], knownHosts: ['/home/a/hosts', '~/more'] }],
        sshConfig: 'none',
        forwards: [pop3],
      },
    ],
    [
      'ssh -g -L 113:pop.example.org:113 -L *:80:web:80 h',
      {
        via: [{ host: 'h' }],
        forwards: [
          { ...local('*', 113, 'pop.example.org', 113), gateway: true },
          { ...local('*', 80, 'web', 80), gateway: true },
        ],
      },
    ],
    [
      'ssh -o ServerAliveInterval=5 -oServerAliveCountMax=2 -o "LocalForward 113 pop.example.org:113" -o ConnectTimeout=3 \\\n h',
      {
        via: [{ host: 'h' }],
        forwards: [pop3],
        keepalive: { intervalMs: 5000, maxMissed: 2 },
        timeouts: { connectMs: 3000 },
      },
    ],
    [
      'ssh -L /tmp/a.sock:/var/run/docker.sock -L 2375:/var/run/docker.sock h',
      {
        via: [{ host: 'h' }],
        forwards: [
          { kind: 'local', bind: { kind: 'unix', path: '/tmp/a.sock' }, target: docker },
          { kind: 'local', bind: { kind: 'tcp', host: 'localhost', port: 2375 }, target: docker },
        ],
      },
    ],
    [
      "ssh -NR 8080:localhost:3000 -R '*:1081' -o 'RemoteForward=/run/a.sock /run/b.sock' h",
      {
        via: [{ host: 'h' }],
        forwards: [
          {
            kind: 'remote',
            bind: { kind: 'tcp', host: 'localhost', port: 8080 },
            target: { kind: 'tcp', host: 'localhost', port: 3000 },
          },
          { kind: 'remote-socks', bind: { kind: 'tcp', host: '*', port: 1081 } },
          {
            kind: 'remote',
            bind: { kind: 'unix', path: '/run/a.sock' },
            target: { kind: 'unix', path: '/run/b.sock' },
          },
        ],
      },
    ],
    [
      'ssh -ND 1080 -o DynamicForward=0.0.0.0:1081 h',
      {
        via: [{ host: 'h' }],
        forwards: [
          { kind: 'socks', bind: { kind: 'tcp', host: 'localhost', port: 1080 } },
          { kind: 'socks', bind: { kind: 'tcp', host: '0.0.0.0', port: 1081 }, gateway: true },
        ],
      },
    ],
  ])('%s', (line, profile) => {
    expect(readSshLine(line, '/home/a')).toEqual({ profile, warnings: [] });
  });

  test('what a profile cannot say is named, never dropped silently', () => {
    const { profile, warnings } = readSshLine(
      'ssh -4 -o StrictHostKeyChecking=no -o AddKeysToAgent=yes -o ExitOnForwardFailure=yes -L 113:pop.example.org:113 h',
      '/home/a',
    );
    expect(profile.via).toEqual([{ host: 'h', hostKey: { kind: 'accept-new' } }]);
    expect(warnings).toEqual([
      '-4 is not kept: a profile has no word for it',
      'StrictHostKeyChecking=no became accept-new: a changed key is refused always',
      '-o AddKeysToAgent=yes is not kept: write it into ssh_config for this host, which is read too',
    ]);
  });

  test.each<[line: string, code: FailureCode, message: string]>([
    ['scp a b', 'USAGE', 'Cannot read the line: it does not begin with ssh'],
    ['', 'USAGE', 'Cannot read the line: it does not begin with ssh'],
    ['ssh -L 113:a:113', 'USAGE', 'Cannot read the ssh line: it names no server'],
    ['ssh -N alice@h', 'USAGE', 'Cannot read the ssh line: it has no -L, -R or -D, so there is nothing to forward'],
    ['ssh -L 113:a:113 h uptime', 'USAGE', 'Cannot read the ssh line: it runs a command on the server'],
    ['ssh -L 113:a:113 h -- uptime', 'USAGE', 'Cannot read the ssh line: it runs a command on the server'],
    ['ssh -L 113:a h', 'USAGE', 'Cannot read the ssh line: -L 113:a is not [bind:]port:host:port'],
    ['ssh -L', 'USAGE', 'Cannot read the ssh line: -L needs a value'],
    ['ssh -Z h', 'USAGE', 'Cannot read the ssh line: ssh has no option -Z'],
    ['ssh -p 0 -L 113:a:113 h', 'USAGE', 'Cannot read the ssh line: 0 is no port'],
    ["ssh -L '113:a:113 h", 'USAGE', "Cannot read the command line: a ' is not closed"],
    ['ssh -L 113:a:113 $HOST', 'USAGE', 'Cannot read the command line: $ is for a shell, and none runs here'],
    ['ssh -L 113:a:113 -oProxyCommand h', 'USAGE', 'Cannot read the ssh line: -o ProxyCommand is not Name=value'],
    [
      'ssh -L 113:a:113 -l alice -- -oProxyCommand=x',
      'USAGE',
      'Cannot read the ssh line: -oProxyCommand=x is no server',
    ],
    ['ssh -W a:80 h', 'NOT_SUPPORTED', 'Cannot take over -W a:80: only -L, -R and -D are supported yet'],
    ['ssh -R a h', 'USAGE', 'Cannot read the ssh line: -R a is not [bind:]port or [bind:]port:host:port'],
    ['ssh -D a:b:1 h', 'USAGE', 'Cannot read the ssh line: -D a:b:1 is not [bind:]port'],
  ])('refuses %s', (line, code, message) => {
    expect(() => readSshLine(line, '/home/a')).toThrow(expect.objectContaining({ code, message }));
  });
});

test('words are split as a shell splits them', () => {
  const words = shellWords(`a 'b c' "d \\"e\\" \\n" f\\ g  ''  h'i'"j" ~/k`);
  expect(words).toEqual(['a', 'b c', 'd "e" \\n', 'f g', '', 'hij', '~/k']);
});

const docker = { kind: 'unix', path: '/var/run/docker.sock' } as const;

function local(host: string, port: number, to: string, toPort: number): Profile['forwards'][number] {
  return { kind: 'local', bind: { kind: 'tcp', host, port }, target: { kind: 'tcp', host: to, port: toPort } };
}
