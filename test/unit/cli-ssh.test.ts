import { describe, expect, test } from 'vitest';
import { readSshCommand, type SshCommand } from '../../src/cli/ssh/command-line.ts';
import { allForwards, sessionRules } from '../../src/cli/ssh/config.ts';
import { decodeMux, encodeMux, type MuxMessage } from '../../src/cli/ssh/mux-codec.ts';
import { forwardWords, sshWords } from '../../src/cli/ssh/words.ts';
import { readGlobals } from '../../src/cli/globals.ts';
import { formatEndpoint, type Endpoint } from '../../src/model/endpoint.ts';
import { TunnelError } from '../../src/model/failure.ts';
import { LoginRefusal } from '../../src/model/login-refusal.ts';
import type { HopPlan } from '../../src/model/plan.ts';
import { parseAnswer } from '../../src/ssh-config/query.ts';
import { readSettings } from '../../src/ssh-config/settings.ts';

const read = (line: string): SshCommand => readSshCommand(line.split(' '), '/home/ada');
const failure = (line: string): unknown => {
  try {
    return read(line);
  } catch (error) {
    return error instanceof TunnelError ? [error.code, error.message] : error;
  }
};

describe('one command line', () => {
  test.each<[string, Partial<SshCommand>]>([
    ['-N host', { server: { host: 'host' }, noShell: true, action: 'forward' }],
    ['-vvvnNfF none host', { verbosity: 3, noShell: true, background: true, configFile: 'none' }],
    ['-F cfg -E log host -N', { configFile: '/home/ada/cfg', logFile: '/home/ada/log', noShell: true }],
    ['-p2222 -lalice host', { server: { host: 'host', user: 'alice', port: 2222 } }],
    ['bob@host -l alice -p 7', { server: { host: 'host', user: 'alice', port: 7 } }],
    ['-o User=x -l y host', { server: { host: 'host', user: 'x' }, overrides: ['User=x', 'User=y'] }],
    ['ssh://bob@host:2022', { server: { host: 'host', user: 'bob', port: 2022 } }],
    [
      '-4C -i key -i ~/k host',
      { overrides: ['AddressFamily=inet', 'Compression=yes', 'IdentityFile=/home/ada/key', 'IdentityFile=~/k'] },
    ],
    [
      '-J a@b:2,c -S %d/ctl -M host',
      { overrides: ['ProxyJump=a@b:2,c', 'ControlPath=%d/ctl', 'ControlMaster=yes'], master: true },
    ],
    ['-S ctl -O check host', { overrides: ['ControlPath=/home/ada/ctl'], action: { control: 'check' } }],
    ['-W db:5432 host', { stdio: { kind: 'tcp', host: 'db', port: 5432 }, noShell: true }],
    ['-W [::1]:7 host', { stdio: { kind: 'tcp', host: '::1', port: 7 } }],
    ['host true', { action: 'login' }],
    ['-G host', { action: 'print' }],
    ['-q -o SessionType=none -o ForkAfterAuthentication=yes host', { quiet: true, noShell: true, background: true }],
    ['-N --save mail host', { saveAs: 'mail' }],
    ['-N --save=mail host', { saveAs: 'mail' }],
    ['-N -- host', { server: { host: 'host' } }],
  ])('%s', (line, expected) => {
    expect(read(line)).toMatchObject(expected);
  });

  test.each([
    ['-L 8080:web:80', 'local localhost:8080 web:80'],
    ['-L*:8080:web:80', 'local *:8080 web:80'],
    ['-L [::1]:8080:[::2]:80', 'local [::1]:8080 [::2]:80'],
    ['-L 8080:/run/x.sock', 'local localhost:8080 unix:/run/x.sock'],
    ['-L 127.0.0.1:8080:/run/x.sock', 'local 127.0.0.1:8080 unix:/run/x.sock'],
    ['-L /tmp/l.sock:web:80', 'local unix:/tmp/l.sock web:80'],
    ['-L /tmp/l.sock:/run/x.sock', 'local unix:/tmp/l.sock unix:/run/x.sock'],
    ['-R 9090:localhost:90', 'remote localhost:9090 localhost:90'],
    ['-R 9090', 'remote-socks localhost:9090'],
    ['-D 1080', 'socks localhost:1080'],
    ['-D 127.0.0.1:1080', 'socks 127.0.0.1:1080'],
  ])('%s', (option, expected) => {
    const [spec] = read(`-N ${option} host`).forwards;
    const target = spec !== undefined && 'target' in spec ? ` ${formatEndpoint(spec.target)}` : '';
    expect(spec && `${spec.kind} ${formatEndpoint(spec.bind)}${target}`).toBe(expected);
  });

  test.each([
    ['host ls', 'NOT_SUPPORTED', 'Cannot run ls on the server: tunnel ssh only forwards'],
    ['host true x', 'NOT_SUPPORTED', 'Cannot run true on the server: tunnel ssh only forwards'],
    ['-N -L 8080 host', 'USAGE', "Bad local forwarding specification '8080'"],
    ['-D x host', 'USAGE', "Bad dynamic forwarding specification 'x'"],
    ['-p 0 host', 'USAGE', "Bad port '0'"],
    ['-O dance host', 'USAGE', 'Invalid multiplex command.'],
    ['-w 1:1 host', 'NOT_SUPPORTED', 'Cannot do ssh -w: tunnel devices are not supported'],
    ['-N', 'USAGE', 'Cannot read the command line of ssh: it names no server'],
    ['-z host', 'USAGE', 'Cannot read the ssh line: ssh has no option -z'],
    ['-N -L', 'USAGE', 'Cannot read the ssh line: -L needs a value'],
  ])('%s is refused', (line, code, message) => {
    expect(failure(line)).toEqual([code, message]);
  });
});

test("ssh's letters are not the command's own: -v, -q and bundles belong to ssh", () => {
  expect(readGlobals(['ssh', '-vqN', '--json', 'host'])).toEqual({
    json: false,
    quiet: false,
    verbose: false,
    noColor: false,
  });
  expect(readGlobals(['--no-color', 'ssh', '-N', 'host']).noColor).toBe(true);
});

describe('forwards of ssh_config count', () => {
  const settingsOf = (text: string) => readSettings('ssh -G', parseAnswer(text), new Map());
  const shown = (line: string, config: string) =>
    allForwards(read(line), settingsOf(config)).map(({ kind, bind }) => `${kind} ${formatEndpoint(bind)}`);

  test('as `ssh -G` prints them, each once, after those of the command line', () => {
    const config =
      'dynamicforward [::1]:8081\ndynamicforward 1080\nlocalforward 8080 [web]:80\nlocalforward [::1]:8081 /r.sock\nremoteforward 9090 [socks]:0\nremoteforward [*]:9091 [h]:1';
    expect(shown('-N -L 7:a:8 host', config)).toEqual([
      'local localhost:7',
      'local localhost:8080',
      'local [::1]:8081',
      'remote-socks localhost:9090',
      'remote *:9091',
      'socks localhost:1080',
    ]);
  });

  test.each([
    ['ClearAllForwardings leaves none', '-N -L 7:a:8 host', 'clearallforwardings yes\nlocalforward 8080 [web]:80', []],
    ['-W leaves none', '-W a:1 host', 'localforward 8080 [web]:80', []],
    [
      'GatewayPorts opens what has no address',
      '-N -L 7:a:8 -L 127.0.0.1:8:a:8 host',
      'gatewayports yes',
      ['local *:7', 'local 127.0.0.1:8'],
    ],
  ])('%s', (_, line, config, expected) => {
    expect(shown(line, config)).toEqual(expected);
  });

  test('the rules of a session are read, ssh has its defaults', () => {
    const silent = sessionRules(settingsOf(''), read('-N host'));
    const said = sessionRules(
      settingsOf(
        'exitonforwardfailure yes\nconnectionattempts 3\nbatchmode yes\nstricthostkeychecking true\ncontrolpath /c\ncontrolmaster auto\ncontrolpersist 10m',
      ),
      read('-N host'),
    );

    expect(silent).toEqual({
      exitOnForwardFailure: false,
      connectionAttempts: 1,
      batch: false,
      strictHostKeys: false,
      controlPath: null,
      master: false,
      persistMs: null,
      loudness: 'notes',
    });
    expect(said).toEqual({
      exitOnForwardFailure: true,
      connectionAttempts: 3,
      batch: true,
      strictHostKeys: true,
      controlPath: '/c',
      master: true,
      persistMs: 600_000,
      loudness: 'notes',
    });
  });

  test.each([
    ['-N host', 'loglevel QUIET', 'quiet'],
    ['-qv -N host', '', 'quiet'],
    ['-N host', 'loglevel ERROR', 'errors'],
    ['-N host', 'loglevel INFO', 'notes'],
    ['-N host', 'loglevel DEBUG2', 'debug'],
    ['-v -N host', 'loglevel ERROR', 'debug'],
  ])('%s with %s is told %s', (line, config, expected) => {
    expect(sessionRules(settingsOf(config), read(line)).loudness).toBe(expected);
  });

  test.each([
    ['no', null],
    ['yes', Infinity],
    ['0', Infinity],
    ['90', 90_000],
  ])('ControlPersist %s lets a master live unused for %s ms', (value, ms) => {
    expect(sessionRules(settingsOf(`controlpersist ${value}`), read('-N host')).persistMs).toBe(ms);
  });
});

describe('messages between a master and who asks it', () => {
  const spec = {
    kind: 'local',
    bind: { kind: 'tcp', host: 'localhost', port: 8080 },
    target: { kind: 'unix', path: '/r' },
  } as const;
  const messages: readonly Exclude<MuxMessage, { kind: 'unknown' }>[] = [
    { kind: 'hello', version: 4 },
    { kind: 'check', id: 1 },
    { kind: 'forward', id: 2, spec },
    { kind: 'cancel', id: 3, spec: { kind: 'socks', bind: { kind: 'tcp', host: '*', port: 1080 } } },
    { kind: 'alive', id: 1, pid: 4711 },
    { kind: 'failure', id: 2, reason: 'port not found' },
    { kind: 'remote-port', id: 5, port: 40_000 },
  ];

  test('are read back whole, however they are cut', () => {
    const bytes = Buffer.concat(messages.map(encodeMux));
    const first = decodeMux(bytes.subarray(0, 45));
    const second = decodeMux(Buffer.concat([first.rest, bytes.subarray(45)]));

    expect([...first.messages, ...second.messages]).toEqual(messages);
    expect(second.rest).toHaveLength(0);
  });

  test.each(['00000002', 'ffffffff00000001', '0000000800000001ff', '0000000c10000006000000010000000900'])(
    '%s brings nobody down',
    (hex) => {
      const read = (): unknown => decodeMux(Buffer.from(hex, 'hex')).messages;
      try {
        expect(read()).toBeInstanceOf(Array);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    },
  );
});

function refusedBy(methods: readonly string[] | undefined): TunnelError {
  return new TunnelError('LOGIN_REFUSED', 'x', { cause: new LoginRefusal({ user: 'ann', host: 'jump', methods }) });
}

describe("failures have ssh's words", () => {
  const hop: Pick<HopPlan, 'host' | 'port' | 'user' | 'proxyCommand'> = {
    host: 'h',
    port: 2222,
    user: 'al',
    proxyCommand: null,
  };
  const caused = (code: string): ErrorOptions => ({ cause: Object.assign(new Error('x'), { code }) });
  test.each<[TunnelError, string]>([
    [new TunnelError('UNREACHABLE', 'x', caused('EHOSTUNREACH')), 'ssh: connect to host h port 2222: No route to host'],
    [
      new TunnelError('UNREACHABLE', 'x', caused('ENETUNREACH')),
      'ssh: connect to host h port 2222: Network is unreachable',
    ],
    [new TunnelError('UNREACHABLE', 'x', caused('EADDRNOTAVAIL')), 'ssh: connect to host h port 2222: failure'],
    [new TunnelError('CONNECT_REFUSED', 'x'), 'ssh: connect to host h port 2222: Connection refused'],
    [new TunnelError('NAME_UNRESOLVED', 'x'), 'ssh: Could not resolve hostname h: Name or service not known'],
    [
      new TunnelError('NAME_UNRESOLVED', 'x', caused('EAI_AGAIN')),
      'ssh: Could not resolve hostname h: Temporary failure in name resolution',
    ],
    [new TunnelError('HOST_KEY_CHANGED', 'x'), 'Host key verification failed.'],
    [refusedBy(['publickey', 'password']), 'ann@jump: Permission denied (publickey,password).'],
    [refusedBy([]), 'ann@jump: Permission denied ().'],
    [refusedBy(['x@y\u001b[2J', 'password']), 'ann@jump: Permission denied (x@y\\u001b[2J,password).'],
    [refusedBy(undefined), 'ann@jump: Permission denied.'],
    [new TunnelError('LOGIN_REFUSED', 'x, the server offers nothing of it'), 'al@h: Permission denied.'],
    [new TunnelError('CONNECTION_LOST', 'x'), 'Connection to h closed by remote host.'],
  ])('%o', (error, words) => {
    expect(sshWords(error, [hop as HopPlan]).at(-1)).toBe(words);
  });

  test('a ProxyCommand that gave no connection is no refusal of the host', () => {
    const error = new TunnelError('CONNECT_REFUSED', 'its proxyCommand gave no connection');
    expect(sshWords(error, [{ ...hop, proxyCommand: 'nc h 22' } as HopPlan])).toEqual([
      'its proxyCommand gave no connection',
      'Connection closed by UNKNOWN port 65535',
    ]);
  });

  test('a listener that the server refuses', () => {
    const refused = new TunnelError('FORWARD_REFUSED', 'x');
    const words = (bind: Endpoint): readonly string[] => forwardWords(refused, { bind });
    expect(words({ kind: 'tcp', host: 'localhost', port: 80 })).toEqual([
      'Error: remote port forwarding failed for listen port 80',
    ]);
    expect(words({ kind: 'unix', path: '/x' })).toEqual(['Error: remote port forwarding failed for listen path /x']);
  });

  test('a busy port', () => {
    const error = new TunnelError(
      'BIND_IN_USE',
      'Cannot bind localhost:80: bind [127.0.0.1]:80: Address already in use (held by x (pid 7))',
    );
    expect(forwardWords(error, { bind: { kind: 'tcp', host: 'localhost', port: 80 } })).toEqual([
      'bind [127.0.0.1]:80: Address already in use',
      'channel_setup_fwd_listener_tcpip: cannot listen to port: 80',
      'Could not request local forwarding.',
    ]);
  });
});
