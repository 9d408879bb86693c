import fc from 'fast-check';
import { isIPv6 } from 'node:net';
import { describe, expect, test } from 'vitest';
import { authorizedLine, isOwnLine, lineComment } from '../../src/authorize/authorized-line.ts';
import { keyLimits, type KeyLimits } from '../../src/authorize/key-limits.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import type { ForwardPlan, ListenerPlan } from '../../src/model/plan.ts';

const KEY = { type: 'ssh-ed25519', blob: 'AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGVleGFtcGxlZXhhbXBsZWV4YW1wbGVleGFt' };

function tcp(host: string, port: number): Endpoint {
  return { kind: 'tcp', host, port };
}

function listener(bind: Endpoint): ListenerPlan {
  return { name: 'one', bind, allow: null, expect: null, demand: null, clients: 'many' };
}

const local = (target: Endpoint): ForwardPlan => ({ kind: 'local', ...listener(tcp('localhost', 1)), target });
const remote = (bind: Endpoint): ForwardPlan => ({ kind: 'remote', ...listener(bind), target: tcp('here', 1) });
const socks: ForwardPlan = { kind: 'socks', ...listener(tcp('localhost', 1080)), auth: null, expectAt: null };
const relay: ForwardPlan = {
  kind: 'relay',
  ...listener(tcp('0.0.0.0', 80)),
  ...{ protocol: 'tcp', targets: [tcp('a', 1)], choose: 'failover', proxyProtocol: null, connectMs: 1, idleMs: 1 },
};

function limitsOf(...forwards: readonly ForwardPlan[]): KeyLimits {
  const limits = keyLimits(forwards);
  if (limits === undefined) throw new Error('these need SSH');
  return limits;
}

function lineOf(...forwards: readonly ForwardPlan[]): string {
  return authorizedLine(KEY, limitsOf(...forwards), 'tunnel:mail@laptop');
}

/** What sshd makes of a line: options, each with its value, and what follows them. */
interface Read {
  readonly options: readonly (readonly [name: string, value: string | undefined])[];
  readonly rest: string;
}

/** As user_key_allowed in auth2-pubkeyfile.c finds the end of the options, and sshauthopt_parse in auth-options.c reads them. */
function readLine(line: string): Read {
  let end = 0;
  for (let quoted = false; end < line.length && (quoted || !/[ \t]/.test(line.charAt(end))); end++) {
    if (line.startsWith('\\"', end)) end++;
    else if (line[end] === '"') quoted = !quoted;
  }
  const options: [string, string | undefined][] = [];
  for (let at = 0; at < end; at++) {
    const name = /^[a-z0-9-]+/.exec(line.slice(at, end))?.[0] ?? '';
    at += name.length;
    if (line[at] !== '=') options.push([name, undefined]);
    else if (line[++at] !== '"') throw new Error('missing start quote');
    else {
      let value = '';
      for (at++; at < end && line[at] !== '"'; at++) value += line.startsWith('\\"', at) ? line[++at] : line[at];
      if (line[at++] !== '"') throw new Error('missing end quote');
      options.push([name, value]);
    }
    if (at < end && line[at] !== ',') throw new Error(`unexpected ${line[at] ?? ''} after ${name}`);
  }
  return { options, rest: line.slice(end).trimStart() };
}

/** As handle_permit: hpdelim, cleanhostname, then a port that is a number above 0 or `*`. */
function readPermit(value: string): { host: string; port: string } {
  const match = /^(?:\[([^\]]*)\]|([^:/]*)):(\*|\d+)$/.exec(value);
  const [, bracketed, plain, port = ''] = match ?? [];
  if (match === null || port === '0') throw new Error(`invalid permission ${value}`);
  return { host: bracketed ?? plain ?? '', port };
}

/** As open_match in channels.c. */
function permits(value: string, host: string, port: number): boolean {
  const permit = readPermit(value);
  return (permit.port === '*' || permit.port === String(port)) && (permit.host === '*' || permit.host === host);
}

function values({ options }: Read, wanted: string): string[] {
  return options.flatMap(([name, value]) => (name === wanted && value !== undefined ? [value] : []));
}

describe('the line for authorized_keys', () => {
  test('of a mail profile names its target, and nothing to listen on', () => {
    expect(lineOf(local(tcp('pop.example.org', 113)))).toBe(
      `restrict,port-forwarding,permitopen="pop.example.org:113",permitlisten="nothing.invalid:1",command="false" ssh-ed25519 ${KEY.blob} tunnel:mail@laptop`,
    );
  });

  test('names each target once, addresses of IPv6 in brackets', () => {
    const { opens } = limitsOf(local(tcp('::1', 143)), local(tcp('mail', 25)), local(tcp('mail', 25)));
    expect(opens).toEqual(['[::1]:143', 'mail:25']);
  });

  test('of a proxy opens everything, and says so', () => {
    const limits = limitsOf(local(tcp('mail', 25)), socks);
    expect(limits.opens).toEqual(['*:*']);
    expect(limits.notes[0]).toContain('every host and port');
  });

  test.each([
    [tcp('localhost', 8080), 'localhost:8080'],
    [tcp('*', 8080), '*:8080'],
    [tcp('::', 8080), '[::]:8080'],
    [tcp('localhost', 0), 'localhost:*'],
    [tcp('::1', 0), '[::1]:*'],
    [{ kind: 'unix', path: '/run/x' } as const, 'nothing.invalid:1'],
  ])('of a remote forward at %j permits to listen at %s and to open nothing', (bind, permit) => {
    expect(limitsOf(remote(bind))).toMatchObject({ opens: ['nothing.invalid:1'], listens: [permit] });
  });

  test('of a trigger permits its target and its return ports', () => {
    const opens = [7078, 7079].map((port) => ({ bind: tcp('0.0.0.0', port), clientPort: port, allow: null }));
    const trigger: ForwardPlan = {
      kind: 'trigger',
      ...listener(tcp('localhost', 1)),
      target: tcp('v', 5),
      opens,
      idleMs: 1,
    };
    expect(limitsOf(trigger, relay)).toMatchObject({ opens: ['v:5'], listens: ['0.0.0.0:7078', '0.0.0.0:7079'] });
  });

  test('says that Unix sockets cannot be limited, and names those that the profile needs', () => {
    const sockets = limitsOf(local({ kind: 'unix', path: '/run/db.sock' })).notes;
    expect(sockets).toEqual([expect.stringMatching(/Unix sockets: beside \/run\/db\.sock .* account may use/)]);
    expect(limitsOf(local(tcp('a', 1))).notes).toEqual([expect.stringContaining('AllowStreamLocalForwarding no')]);
  });

  test('is none where no forward needs SSH', () => {
    expect(keyLimits([relay])).toBeUndefined();
  });

  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().filter(isIPv6),
    fc.constantFrom('localhost', 'MixedCase', 'bücher.example', 'fe80::1%eth0', 'a_b'),
  );
  const endpoint = (least: number): fc.Arbitrary<Endpoint> =>
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('tcp' as const),
          host,
          port: fc.integer({ min: least, max: 65_535 }),
        }),
      },
      fc.record({ kind: fc.constant('unix' as const), path: fc.string({ minLength: 1 }) }),
    );
  const anyForwards = fc.array(fc.oneof(endpoint(1).map(local), endpoint(0).map(remote)), {
    minLength: 1,
    maxLength: 8,
  });

  test('says to sshd what the forwards ask for, and nothing else', () => {
    fc.assert(
      fc.property(anyForwards, host, fc.integer({ min: 1, max: 65_535 }), (forwards, otherHost, otherPort) => {
        const read = readLine(lineOf(...forwards));
        const [opens, listens] = [values(read, 'permitopen'), values(read, 'permitlisten')];

        expect(read.options.slice(0, 2)).toEqual([
          ['restrict', undefined],
          ['port-forwarding', undefined],
        ]);
        expect(values(read, 'command')).toEqual(['false']);
        expect(read.options).toHaveLength(3 + opens.length + listens.length);
        expect(read.rest).toBe(`ssh-ed25519 ${KEY.blob} tunnel:mail@laptop`);
        let [mayOpen, mayListen] = [false, false];
        for (const forward of forwards) {
          const end = forward.kind === 'local' ? forward.target : forward.bind;
          if (end.kind === 'unix') continue;
          const allowed = (forward.kind === 'local' ? opens : listens).some((value) =>
            permits(value, end.host, end.port),
          );
          expect(allowed).toBe(true);
          const same = end.host === otherHost && (end.port === otherPort || end.port === 0);
          if (forward.kind === 'local') mayOpen ||= same;
          else mayListen ||= same;
        }
        expect(opens.some((value) => permits(value, otherHost, otherPort))).toBe(mayOpen);
        expect(listens.some((value) => permits(value, otherHost, otherPort))).toBe(mayListen);
      }),
    );
  });

  test('is known again as ours, unless somebody has put a word of theirs into it', () => {
    fc.assert(
      fc.property(anyForwards, (forwards) => {
        const line = lineOf(...forwards);
        expect(isOwnLine(line, KEY)).toBe(true);
        expect(isOwnLine(line.replace('restrict,', 'restrict,from="10.0.0.1",'), KEY)).toBe(false);
        expect(isOwnLine(line.replace('command="false"', 'command="true"'), KEY)).toBe(false);
        expect(isOwnLine(line.replace(KEY.blob, `${KEY.blob}A`), KEY)).toBe(false);
      }),
    );
    expect(isOwnLine(`${KEY.type} ${KEY.blob} alice@laptop`, KEY)).toBe(false);
  });

  test('ends in a comment of one plain word', () => {
    expect(lineComment('pop-mail', 'o\'brien\'s "mac"\n# x')).toBe('tunnel:pop-mail@o-brien-s--mac----x');
  });
});
