import { describe, expect, test } from 'vitest';
import { Admission } from '../../src/forward/clients/admission.ts';
import { bindFailure, privilegedPortHint } from '../../src/forward/listen/bind-failure.ts';
import { Burst } from '../../src/forward/clients/burst.ts';
import { sameForward } from '../../src/forward/forward.ts';
import { parseLsof } from '../../src/forward/listen/port-holder.ts';
import { boundSockets, unixListeners } from '../../src/forward/listen/proc-net.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { aLocalPlan, ANY_PORT } from '../support/forward-fixture.ts';

const roomy = { connections: 1024, perClient: 1024 };

describe('admission', () => {
  const allowed = (ranges: readonly string[] | null, address: string): boolean =>
    new Admission(ranges).admit(address, roomy) === undefined;

  test.each([
    [null, '203.0.113.9', true],
    [['192.168.0.0/16'], '192.168.255.1', true],
    [['192.168.0.0/16'], '192.169.0.1', false],
    [['192.168.0.7'], '192.168.0.7', true],
    [['192.168.0.7'], '192.168.0.8', false],
    [['2001:db8::/32'], '2001:db8:1::9', true],
    [['2001:db8::/32'], '2001:db9::9', false],
    [['2001:db8::1'], '2001:db8::1', true],
    [['10.0.0.0/8', 'fd00::/8'], 'fd12::1', true],
    [['10.0.0.0/8'], 'fd12::1', false],
    [['0.0.0.0/0'], '203.0.113.9', true],
    [['0.0.0.0/0'], '2001:db8::1', false],
    [['192.168.0.0/16'], '::ffff:192.168.0.1', true],
    [[], '127.0.0.1', false],
    [['10.0.0.0/8'], 'unix', true],
  ])('with allow %j of %s says %s', (ranges, address, says) => {
    expect(allowed(ranges, address)).toBe(says);
  });

  test.each(['10.0.0.0/33', '2001:db8::/129', '10.0.0.0/8/8', '10.0.0/8', '10.0.0.0/', 'example.org', ''])(
    'refuses the range %j',
    (range) => {
      expect(() => new Admission([range])).toThrow(RangeError);
    },
  );

  test('counts places in all and for each client, and gives them back', () => {
    const admission = new Admission(null);
    const limits = { connections: 3, perClient: 2 };
    const admit = (address: string): string => admission.admit(address, limits)?.why ?? 'in';
    expect([admit('10.0.0.1'), admit('10.0.0.1'), admit('10.0.0.1')]).toEqual([
      'in',
      'in',
      '2 are open from that address (limits.perClient)',
    ]);
    expect([admit('10.0.0.2'), admit('10.0.0.3')]).toEqual(['in', '3 connections are open (limits.connections)']);
    admission.release('10.0.0.1');
    expect(admit('10.0.0.3')).toBe('in');
  });

  test('counts the programs of this machine as one client only where the profile says so', () => {
    const many = { connections: 9, perClient: 1, perLocalClient: 9 };
    const admission = new Admission(null);
    const admit = (address: string): boolean => admission.admit(address, many) === undefined;
    expect(['127.0.0.1', '127.0.0.1', '::1', '::1', '10.0.0.1', '10.0.0.1'].map(admit)).toEqual([
      true,
      true,
      true,
      true,
      true,
      false,
    ]);
  });
});

describe('a burst of notes', () => {
  function burst(): { clock: FakeClock; lines: unknown[][]; burst: Burst } {
    const clock = new FakeClock();
    const lines: unknown[][] = [];
    return { clock, lines, burst: new Burst(clock, (...line) => lines.push(line)) };
  }

  test('is the first at once, then a line every 10 s that counts, then silence', async () => {
    const { clock, lines, burst: notes } = burst();
    for (let times = 0; times < 5; times += 1) notes.note('warn', 'refused', 'TARGET_REFUSED');
    expect(lines).toEqual([['warn', 'refused', 'TARGET_REFUSED']]);
    await clock.advance(10_000);
    notes.note('warn', 'refused', 'TARGET_REFUSED');
    await clock.advance(10_000);
    expect(lines.slice(1)).toEqual([
      ['warn', 'refused', 'TARGET_REFUSED', 4],
      ['warn', 'refused', 'TARGET_REFUSED', 1],
    ]);
    await clock.advance(10_000);
    expect(clock.pending).toBe(0);
    notes.note('warn', 'refused', 'TARGET_REFUSED');
    expect(lines).toHaveLength(4);
  });

  test('keeps different troubles apart, up to a flood of them', () => {
    const { lines, burst: notes } = burst();
    for (let port = 0; port < 1_000; port += 1) notes.note('warn', `from port ${port}`, 'LIMIT_REACHED');
    expect(lines).toHaveLength(33);
  });

  test('says the rest when it is flushed, and leaves no timer', () => {
    const { clock, lines, burst: notes } = burst();
    notes.note('warn', 'refused');
    notes.note('warn', 'refused');
    notes.flush();
    expect(lines).toEqual([
      ['warn', 'refused', undefined],
      ['warn', 'refused', undefined, 1],
    ]);
    expect(clock.pending).toBe(0);
  });
});

describe('a refused bind', () => {
  const at = { kind: 'tcp', host: '127.0.0.1', port: 113 } as const;
  const bind = { kind: 'tcp', host: 'localhost', port: 113 } as const;

  test('says the words of OpenSSH and who holds the port', () => {
    const error = bindFailure(
      bind,
      { code: 'EADDRINUSE', at, cause: undefined },
      { words: 'held by identd (pid 812)' },
    );
    expect(error.facts).toEqual({
      code: 'BIND_IN_USE',
      message: 'Cannot bind localhost:113: bind [127.0.0.1]:113: Address already in use (held by identd (pid 812))',
      hint: 'Stop the program that holds the port, or choose another port.',
      exit: 6,
    });
  });

  test('of a privileged port names the three remedies', () => {
    const error = bindFailure(bind, { code: 'EACCES', at, cause: undefined });
    expect(error.facts).toEqual({
      code: 'BIND_DENIED',
      message: 'Cannot bind localhost:113: bind [127.0.0.1]:113: Permission denied',
      hint: privilegedPortHint(113, process.platform),
      exit: 6,
    });
    const hint = privilegedPortHint(113, 'linux');
    for (const remedy of ['such as 1113', 'setcap cap_net_bind_service', 'ip_unprivileged_port_start=113', 'service']) {
      expect(hint).toContain(remedy);
    }
  });

  test('knows an errno that nobody has heard of', () => {
    expect(bindFailure(bind, { code: 'EWHATEVER', at, cause: undefined }).message).toBe(
      'Cannot bind localhost:113: bind [127.0.0.1]:113: EWHATEVER',
    );
  });
});

describe('the holder of a port', () => {
  const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
  const row = (local: string, state: string, uid: number, inode: number): string =>
    `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  ${uid}        0 ${inode} 1 0000 100 0`;
  const table = [
    head,
    row('0100007F:0071', '0A', 0, 11),
    row('0100007F:0071', '01', 0, 12),
    row('00000000:0072', '0A', 113, 13),
    row('0200007F:0071', '0A', 0, 14),
  ].join('\n');
  const table6 = [
    head,
    row('00000000000000000000000001000000:0071', '0A', 0, 21),
    row(`${'0'.repeat(32)}:0072`, '0A', 1, 22),
  ];

  test.each([
    ['127.0.0.1', 113, ['11']],
    ['127.0.0.2', 113, ['14']],
    ['0.0.0.0', 113, ['11', '14']],
    ['localhost', 113, ['11']],
    ['127.0.0.1', 114, ['13']],
    ['127.0.0.1', 115, []],
  ])('of %s:%d is found among the listeners', (host, port, inodes) => {
    expect(boundSockets(table, host, port).map(({ inode }) => inode)).toEqual(inodes);
  });

  test('is found in the table of IPv6', () => {
    expect(boundSockets(table6.join('\n'), '::1', 113)).toEqual([{ inode: '21', uid: 0 }]);
    expect(boundSockets(table6.join('\n'), '127.0.0.1', 114)).toEqual([{ inode: '22', uid: 1 }]);
  });

  test('of a unix socket is found by its path', () => {
    const text = [
      'Num       RefCount Protocol Flags    Type St Inode Path',
      '0000: 00000002 00000000 00010000 0001 01 31 /run/a b.sock',
      '0000: 00000003 00000000 00000000 0001 03 32',
    ];
    expect(unixListeners(text.join('\n'), '/run/a b.sock')).toEqual([{ inode: '31', uid: null }]);
  });

  test('is read from what lsof prints', () => {
    expect(parseLsof('p812\ncidentd\nf3\np900\ncother\n')).toEqual({ pid: 812, command: 'identd' });
    expect(parseLsof('')).toEqual({ pid: undefined, command: '' });
  });
});

test('two plans are the same forward when each field is, whatever the order of the keys', () => {
  const plan = aLocalPlan(ANY_PORT);
  const { kind, ...rest } = plan;
  expect(sameForward(plan, { ...structuredClone(rest), kind })).toBe(true);
  expect(sameForward(plan, { ...plan, target: { ...ANY_PORT, port: 1 } })).toBe(false);
  expect(sameForward(plan, { ...plan, allow: [] })).toBe(false);
});
