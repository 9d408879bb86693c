import { describe, expect, test } from 'vitest';
import { bytesText } from '../../src/cli/render/bytes.ts';
import { ageText, spanText } from '../../src/cli/render/duration.ts';
import { errorJson, errorLines } from '../../src/cli/render/error.ts';
import { eventLine, newsFilter } from '../../src/cli/render/event.ts';
import { forwardLines } from '../../src/cli/render/state.ts';
import { statusLines, stoppedRow, type StatusRow } from '../../src/cli/render/status.ts';
import { tableLines } from '../../src/cli/render/table.ts';
import { PLAIN, theme, wantsColour } from '../../src/cli/theme.ts';
import { FAILURES } from '../../src/model/failure.ts';
import type { ForwardStatus, TunnelStatus } from '../../src/model/status.ts';

const NOW = Date.parse('2026-08-14T10:00:00.000Z');
const REFUSED = {
  code: 'CONNECT_REFUSED',
  message: 'Cannot connect to pop.example.org:22: connection refused',
  hint: 'Check the port, and that sshd runs there.',
  at: '2026-08-14T09:59:58.000Z',
} as const;

const UNWELL = {
  code: 'SERVICE_UNHEALTHY',
  message: 'Cannot see pop3 at pop.example.org:113: it said "-ERR"',
  hint: 'Check the service.',
  at: REFUSED.at,
} as const;

function forward(changes: Partial<ForwardStatus> = {}): ForwardStatus {
  return {
    name: 'localhost:113',
    kind: 'local',
    bind: 'localhost:113',
    target: 'pop.example.org:113',
    state: 'up',
    health: null,
    openConnections: 1,
    totalConnections: 12,
    receivedBytes: 34_567,
    sentBytes: 812,
    lastError: null,
    ...changes,
  };
}

function tunnel(changes: Partial<TunnelStatus> = {}): TunnelStatus {
  return {
    name: 'pop-mail',
    state: 'up',
    since: '2026-08-14T09:55:50.000Z',
    via: 'alice@pop.example.org',
    latencyMs: 23,
    reconnects: 0,
    lastError: null,
    nextRetryAt: null,
    forwards: [forward()],
    ...changes,
  };
}

describe('figures', () => {
  test.each([
    [0, '0ms'],
    [850, '850ms'],
    [15_000, '15s'],
    [250_000, '4m10s'],
    [7_200_000, '2h'],
    [7_201_000, '2h'],
    [273_600_000, '3d4h'],
  ])('a span of %i ms', (ms, text) => {
    expect(spanText(ms)).toBe(text);
  });

  test('an age is in whole seconds, and nothing where the clock was set back', () => {
    const ages = ['2026-08-14T09:59:59.400Z', '2026-08-14T10:05:00.000Z', '2026-08-14T09:59:45.000Z', 'never'];
    expect(ages.map((since) => ageText(since, NOW))).toEqual(['0s', '0s', '15s', '-']);
  });

  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [34_567, '35 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [200_000_000, '200 MB'],
    [5e15, '5.0 PB'],
  ])('%i bytes', (bytes, text) => {
    expect(bytesText(bytes)).toBe(text);
  });
});

test('a table aligns its columns, counts code points and keeps lines between as they are', () => {
  const lines = tableLines([
    [{ text: 'NAME' }, { text: 'STATE' }],
    [{ text: 'köln' }, { text: 'up', paint: (text) => `<${text}>` }],
    '  a line',
    [{ text: 'pop-mail' }, { text: '' }],
  ]);
  expect(lines).toEqual(['NAME      STATE', 'köln      <up>', '  a line', 'pop-mail']);
});

describe('the lines of up', () => {
  test('a line a forward', () => {
    const second = forward({ bind: 'localhost:1143', target: 'imap.example.org:143', state: 'retrying' });
    expect(forwardLines([tunnel(), tunnel({ name: 'mail', forwards: [second] })], PLAIN)).toEqual([
      'pop-mail  localhost:113 -> pop.example.org:113    up',
      'mail      localhost:1143 -> imap.example.org:143  retrying',
    ]);
  });

  test('one alone reads as the documentation has it', () => {
    expect(forwardLines([tunnel()], PLAIN)).toEqual(['pop-mail  localhost:113 -> pop.example.org:113  up']);
  });

  test('a forward of a tunnel that waits for somebody says so', () => {
    const waiting = tunnel({ state: 'waiting', forwards: [forward({ state: 'connecting' })] });
    expect(forwardLines([waiting], PLAIN)).toEqual(['pop-mail  localhost:113 -> pop.example.org:113  waiting']);
  });
});

describe('the table of status', () => {
  function lines(rows: readonly StatusRow[], verbose = false): string[] {
    return statusLines({ supervisor: null, rows, nowMs: NOW, verbose }, PLAIN);
  }

  test('a tunnel that is up', () => {
    expect(lines([tunnel()])).toEqual([
      'NAME      STATE  FOR    FORWARD                               OPEN',
      'pop-mail  up     4m10s  localhost:113 -> pop.example.org:113  1',
    ]);
  });

  test('a forward that nobody uses says when it closes, and one that is closed beside others that it is', () => {
    const closing = forward({ idleClosesAt: '2026-08-14T10:09:57.200Z' });
    const closed = forward({ bind: 'localhost:1143', target: 'imap:143', state: 'idle', idleClosesAt: null });
    const late = forward({ bind: 'localhost:25', target: 'smtp:25', idleClosesAt: '2026-08-14T09:59:59.000Z' });
    expect(lines([tunnel({ forwards: [closing, closed, late] })])).toEqual([
      'NAME      STATE  FOR    FORWARD                                                 OPEN',
      'pop-mail  up     4m10s  localhost:113 -> pop.example.org:113 (closes in 9m58s)  1',
      '                        localhost:1143 -> imap:143 (idle)                       1',
      '                        localhost:25 -> smtp:25 (closes in 1s)                  1',
    ]);
  });

  test('connections of forwards that a reload took away are shown beside those of its forwards', () => {
    expect([1, 2].map((leavingConnections) => lines([tunnel({ leavingConnections })])[2])).toEqual([
      '  1 open connection of forwards that a reload took away or changed',
      '  2 open connections of forwards that a reload took away or changed',
    ]);
  });

  test('a server that is silent is told, and what it answered within before is not', () => {
    const silent = tunnel({ latencyMs: 2, silentSince: '2026-08-14T09:59:30.000Z' });

    const told = lines([silent], true).join('\n');

    expect(told).toMatch(/pop-mail +up, silent /);
    expect(told).toContain('  nothing has come from alice@pop.example.org for 30s');
    expect(told).not.toContain('answers within');
  });

  test('trouble stands beneath its row with what to do and when it is tried again', () => {
    const retrying = tunnel({
      state: 'retrying',
      lastError: REFUSED,
      nextRetryAt: '2026-08-14T10:00:07.500Z',
      forwards: [forward({ state: 'retrying' }), forward({ name: 'imap', bind: 'localhost:1143', target: 'imap:143' })],
    });
    expect(lines([retrying, stoppedRow('db')])).toEqual([
      'NAME      STATE     FOR    FORWARD                               OPEN',
      'pop-mail  retrying  4m10s  localhost:113 -> pop.example.org:113  1',
      '                           localhost:1143 -> imap:143 (up)       1',
      '  Cannot connect to pop.example.org:22: connection refused; next try in 8s',
      '    Check the port, and that sshd runs there.',
      'db        stopped',
    ]);
  });

  test('a failing probe is not overlooked though the tunnel is up, and what it met with is said', () => {
    const row = tunnel({ forwards: [forward({ health: 'failing', healthError: UNWELL })] });
    expect(lines([row])).toEqual([
      'NAME      STATE        FOR    FORWARD                               OPEN',
      'pop-mail  up, failing  4m10s  localhost:113 -> pop.example.org:113  1',
      '  localhost:113: Cannot see pop3 at pop.example.org:113: it said "-ERR"',
      '    Check the service.',
    ]);
  });

  test('a supervisor that does not say what its probe met with is shown as far as it goes', () => {
    const row = tunnel({ forwards: [forward({ health: 'failing' })] });
    expect(lines([row])).toEqual([
      'NAME      STATE        FOR    FORWARD                               OPEN',
      'pop-mail  up, failing  4m10s  localhost:113 -> pop.example.org:113  1',
      '  localhost:113: the health probe fails',
    ]);
  });

  test('a forward in trouble by itself names itself', () => {
    const busy = {
      code: 'BIND_IN_USE',
      message: 'Cannot bind 127.0.0.1:113: held by pid 42 (inetd)',
      hint: 'Stop it.\nOr choose another port.',
      at: REFUSED.at,
    } as const;
    const row = tunnel({ state: 'retrying', forwards: [forward({ state: 'retrying', lastError: busy })] });
    expect(lines([row]).slice(2)).toEqual([
      '  localhost:113: Cannot bind 127.0.0.1:113: held by pid 42 (inetd)',
      '    Stop it.',
      '    Or choose another port.',
    ]);
  });

  test('a question says which command asks it', () => {
    expect(lines([tunnel({ state: 'waiting' })]).at(-1)).toBe('    Answer with `tunnel answer pop-mail`.');
    // "Answer with `tunnel answer` on a terminal." stood above it, and said nearly the same.
    const { hint } = FAILURES.NEEDS_PERSON;
    const lastError = { code: 'NEEDS_PERSON', message: 'Cannot log in', hint, at: '2026-08-14T09:59:00.000Z' } as const;
    expect(lines([tunnel({ state: 'waiting', lastError })]).slice(-2)).toEqual([
      '  Cannot log in',
      '    Answer with `tunnel answer pop-mail`.',
    ]);
  });

  test('-v adds the supervisor, the traffic and what is known of the link', () => {
    const supervisor = { pid: 42, startedAt: '2026-08-14T08:00:00.000Z', version: '0.1.0' };
    expect(statusLines({ supervisor, rows: [tunnel({ reconnects: 2 })], nowMs: NOW, verbose: true }, PLAIN)).toEqual([
      'supervisor 0.1.0, pid 42, up 2h',
      'NAME      STATE  FOR    FORWARD                               OPEN  TOTAL  RECEIVED  SENT',
      'pop-mail  up     4m10s  localhost:113 -> pop.example.org:113  1     12     35 kB     812 B',
      '  via alice@pop.example.org, answers within 23ms, reconnected 2 times',
    ]);
  });

  test('-v shows what was negotiated, cleaned, and what is to be said about it', () => {
    const link = {
      server: 'OpenSSH_10.0\u001b[2J',
      kex: 'mlkem768x25519-sha256',
      hostKey: 'ssh-ed25519',
      cipher: 'aes128-ctr',
      mac: 'hmac-sha2-256-etm@openssh.com',
      compression: 'none',
      notes: ['the server lacks strict key exchange'],
      warnings: [],
    };

    const all = lines([tunnel({ link })], true);
    const implicit = lines([tunnel({ link: { ...link, mac: 'implicit', compression: 'zlib' } })], true);

    expect(all.slice(-2)).toEqual([
      '  OpenSSH_10.0\\u001b[2J: key exchange mlkem768x25519-sha256, host key ssh-ed25519, cipher aes128-ctr, MAC hmac-sha2-256-etm@openssh.com',
      '  the server lacks strict key exchange',
    ]);
    expect(implicit.at(-2)).toMatch(/cipher aes128-ctr, compression zlib$/);
    expect(lines([tunnel({ link })]).join()).not.toContain('mlkem');
  });

  test('old algorithms are shown without being asked for', () => {
    const names = { kex: 'diffie-hellman-group1-sha1', hostKey: 'ssh-rsa', cipher: '3des-cbc', mac: 'hmac-md5' };
    const rest = {
      server: 'OpenSSH_5.3',
      compression: 'none',
      notes: [],
      warnings: ['pop uses old\u001b[2J: 3des-cbc'],
    };

    expect(lines([tunnel({ link: { ...names, ...rest } })])).toContain('  pop uses old\\u001b[2J: 3des-cbc');
  });

  test('nothing is said in so many words', () => {
    expect(lines([])).toEqual(['No tunnel is running.']);
  });

  test('what a server said cannot act on the terminal', () => {
    const lastError = { ...REFUSED, message: 'Cannot log in: \x1b[2Jgone\nnext' };
    expect(lines([tunnel({ state: 'failed', lastError })])[2]).toBe('  Cannot log in: \\u001b[2Jgone / next');
  });
});

describe('events', () => {
  const at = '2026-08-14T10:12:03.000Z';
  const time = eventTime(at);

  test('a change of state with its reason', () => {
    const status = tunnel({ state: 'retrying', lastError: REFUSED });
    const line = eventLine({ event: 'tunnel', at, tunnel: 'pop-mail', status }, PLAIN);
    expect(line).toBe(`${time}  pop-mail  retrying: Cannot connect to pop.example.org:22: connection refused`);
  });

  test('a failing probe with what it met with', () => {
    const status = tunnel({ forwards: [forward({ health: 'failing', healthError: UNWELL })] });
    const line = eventLine({ event: 'tunnel', at, tunnel: 'pop-mail', status }, PLAIN);
    expect(line).toBe(`${time}  pop-mail  up, health failing: Cannot see pop3 at pop.example.org:113: it said "-ERR"`);
  });

  test('a finished connection, and one that was cut', () => {
    const figures = { durationMs: 3_000, receivedBytes: 1_234, sentBytes: 80 };
    const whole = {
      event: 'connection',
      at,
      tunnel: 'pop-mail',
      forward: 'pop',
      client: '127.0.0.1:53412',
      target: 'pop:113',
      ...figures,
      end: 'done',
    } as const;
    const cut = { ...whole, end: 'TARGET_REFUSED', reason: 'the target refused the connection' } as const;
    expect([whole, cut].map((event) => eventLine(event, PLAIN))).toEqual([
      `${time}  pop-mail  pop: 127.0.0.1:53412 -> pop:113  1.2 kB received, 80 B sent, 3s`,
      `${time}  pop-mail  pop: 127.0.0.1:53412 -> pop:113  1.2 kB received, 80 B sent, 3s, the target refused the connection`,
    ]);
  });

  test('notes of the supervisor, those that were folded with their number', () => {
    const note = { event: 'note', at, tunnel: null, level: 'warn', message: 'disk full' } as const;
    expect([note, { ...note, repeated: 7 }].map((event) => eventLine(event, PLAIN))).toEqual([
      `${time}  supervisor  disk full`,
      `${time}  supervisor  disk full (7 times)`,
    ]);
  });

  test('figures alone are no news to a person; a state, an error, a health and a connection are', () => {
    const told = (status: TunnelStatus) => ({ event: 'tunnel', at, tunnel: status.name, status }) as const;
    const more = tunnel({ forwards: [forward({ openConnections: 5, receivedBytes: 9 })], latencyMs: 99 });
    const busy = tunnel({ state: 'retrying', forwards: [forward({ lastError: REFUSED })] });
    const gone = { event: 'removed', at, tunnel: 'pop-mail' } as const;
    const note = { event: 'note', at, tunnel: 'pop-mail', level: 'info', message: 'hello' } as const;
    const events = [told(tunnel()), told(more), told(busy), told(tunnel({ state: 'stopped' })), gone, note, note];
    expect(events.map(newsFilter())).toEqual([true, false, true, true, false, true, true]);
  });

  /** Local time, whatever the zone of the machine that tests. */
  function eventTime(iso: string): string {
    const local = new Date(Date.parse(iso) - new Date(iso).getTimezoneOffset() * 60_000);
    return local.toISOString().slice(0, 19).replace('T', ' ');
  }
});

describe('errors', () => {
  const problems = [
    { file: '/p/pop-mail.yaml', line: 3, column: 5, message: 'unknown field `tgas`: did you mean `tags`?' },
    { file: '/p/pop-mail.yaml', line: 7, column: 1, message: 'no forwards' },
  ];
  const facts = {
    code: 'PROFILE_INVALID',
    message: 'Cannot use pop-mail: 2 mistakes',
    hint: 'Correct them.',
    exit: 2,
    problems,
  } as const;

  test('each mistake of a file stands on a line of its own, as compilers write it', () => {
    expect(errorLines(facts, PLAIN)).toEqual([
      '/p/pop-mail.yaml:3:5: unknown field `tgas`: did you mean `tags`?',
      '/p/pop-mail.yaml:7:1: no forwards',
      'tunnel: Correct them.',
    ]);
  });

  test('the same as JSON; without problems there is no such field', () => {
    const { problems: _, ...bare } = facts;
    expect([errorJson(facts), errorJson(bare)]).toEqual([{ error: facts }, { error: bare }]);
  });
});

describe('colours', () => {
  test('are asked for by a terminal alone, and by FORCE_COLOR', () => {
    const terminal = { isTTY: true };
    const answers = [
      wantsColour(terminal, {}, false),
      wantsColour(terminal, { NO_COLOR: '1' }, false),
      wantsColour(terminal, { NO_COLOR: '' }, false),
      wantsColour(terminal, { TERM: 'dumb' }, false),
      wantsColour(terminal, {}, true),
      wantsColour({}, {}, false),
      wantsColour({}, { FORCE_COLOR: '1' }, false),
      wantsColour({}, { FORCE_COLOR: '1', NO_COLOR: '1' }, false),
    ];
    expect(answers).toEqual([true, false, true, false, false, false, true, false]);
  });

  test('paint a text by its meaning', async () => {
    expect([(await theme(true)).bad('x'), (await theme(false)).bad('x')]).toEqual(['\x1b[31mx\x1b[39m', 'x']);
  });
});
