import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TunnelStatus } from '../../src/model/status.ts';
import { HOOK_DEADLINE_MS, Hooks, LAST_WORDS_MS } from '../../src/supervisor/hooks.ts';
import { eventually } from '../support/eventually.ts';
import { FakeClock } from '../support/fake-clock.ts';

const status: TunnelStatus = {
  name: 'mail',
  state: 'up',
  since: '2026-01-01T00:00:00.000Z',
  via: 'alice@pop.example.org',
  latencyMs: 1,
  reconnects: 0,
  lastError: null,
  nextRetryAt: null,
  forwards: [],
};

let dir: string;
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'tunnel-hooks-'))));
afterAll(() => rm(dir, { recursive: true }));

function stage(): { clock: FakeClock; hooks: Hooks; said: string[] } {
  const clock = new FakeClock();
  const said: string[] = [];
  return { clock, hooks: new Hooks(clock, (level, message) => said.push(`${level} ${message}`)), said };
}

describe('hooks', () => {
  test('a line runs in the person’s shell and finds the facts in its environment', async () => {
    const { clock, hooks, said } = stage();
    hooks.run('up', 'echo "$TUNNEL_HOOK of $TUNNEL_NAME is $TUNNEL_STATE via $TUNNEL_VIA"', status);
    await hooks.idle;
    expect([said, clock.pending]).toEqual([['info Hook up: up of mail is up via alice@pop.example.org'], 0]);
  });

  test('a list is an argument vector that no shell reads', async () => {
    const { hooks, said } = stage();
    hooks.run('down', ['printf', '%s', '$TUNNEL_NAME; `id`'], status);
    await hooks.idle;
    expect(said).toEqual(['info Hook down: $TUNNEL_NAME; `id`']);
  });

  test('what it prints has its control characters made visible, and how it fails is said', async () => {
    const { hooks, said } = stage();
    hooks.run('up', String.raw`printf 'red \033[31m\n' >&2; exit 3`, status);
    hooks.run('up', ['/no/such/program'], status);
    hooks.run('waiting', null, status);
    await hooks.idle;
    expect(said).toEqual([
      String.raw`info Hook up: red \u001b[31m`,
      'warn Hook up ended with status 3',
      'warn Cannot run hook up: spawn /no/such/program ENOENT',
    ]);
  });

  test('one that never ends is ended with its children after its deadline', async () => {
    const { clock, hooks, said } = stage();
    const pidFile = join(dir, 'child');
    hooks.run('up', `sleep 600 & echo $! > ${pidFile}; wait`, status);
    // The shell makes the file before it writes into it.
    const child = Number(await eventually(async () => /^\d+\n/.exec(await readFile(pidFile, 'utf8'))?.[0]));
    await clock.advance(HOOK_DEADLINE_MS);
    await hooks.idle;
    expect(said).toEqual(['warn Hook up took longer than 30 s and was ended']);
    await eventually(() => isGone(child), { what: 'the end of what the hook had started' });
  });

  test('one that leaves a program in the background is not waited for', async () => {
    const { clock, hooks, said } = stage();
    const pidFile = join(dir, 'background');
    hooks.run('up', `sleep 600 & echo $! > ${pidFile}; echo started`, status);
    await eventually(() => clock.nextInMs === LAST_WORDS_MS, { what: 'the end of the hook itself' });
    await clock.advance(LAST_WORDS_MS);
    await hooks.idle;
    process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGKILL');
    expect(said).toEqual(['info Hook up: started']);
  });

  test('they run one after the other, and a flood of them is cut', async () => {
    const { hooks, said } = stage();
    for (let run = 0; run < 10; run += 1) hooks.run('up', `echo ${run}`, status);
    await hooks.idle;
    const left = 'warn Hook up was left out: 8 others wait';
    expect(said).toEqual([left, left, ...Array.from({ length: 8 }, (_none, run) => `info Hook up: ${run}`)]);
  });
});

/** A zombie counts as gone: whoever inherits it reaps it. */
async function isGone(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat === '' || /^\d+ \(.*\) Z/s.test(stat);
}
