/**
 * `npm run bench:start [-- --quick] [--write]`: how long commands take that do little, and from a command to the first byte through its tunnel,
 * beside Node's own start and `ssh`. `--write` puts the figures into docs/performance.md. Everything in turn, the order reversed every other round, after one that does not count.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, startSshd, type TestSshd } from '../support/sshd.ts';
import { tempHome, viaSshd, type TempHome } from '../support/temp-home.ts';
import { benchOptions } from './bench-options.ts';
import { writeSection } from './page.ts';
import { markdown, median, short, type Facts } from './report.ts';

const { quick, write } = benchOptions('bench:start', 'five minutes');
const ROUNDS = quick ? 7 : 25;
/** A supervisor logs in to one server no oftener, and would wait. */
const LOGINS_APART_MS = 1_000;
const run = promisify(execFile);

interface Row {
  readonly name: string;
  /** Milliseconds of one round. */
  once(): Promise<number>;
}

/** A word that node evaluates to nothing: what the thin verbs are measured against. */
const EMPTY = ['--input-type=module', '--eval', ''];

function command(name: string, words: readonly string[], home: TempHome): Row {
  return {
    name,
    async once() {
      const startedAt = performance.now();
      const child = spawn(process.execPath, words, { env: home.env, stdio: 'ignore' });
      await once(child, 'exit');
      return performance.now() - startedAt;
    },
  };
}

/** From the start of a command until a byte has come back through the port; what it left running is ended outside the measure. */
function firstByte(name: string, port: number, start: () => () => Promise<void>, before: () => Promise<void>): Row {
  return {
    name,
    async once() {
      await before();
      const startedAt = performance.now();
      const end = start();
      while (!(await echoes(port))) await sleep(1);
      const tookMs = performance.now() - startedAt;
      await end();
      return tookMs;
    },
  };
}

function echoes(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('x'));
    const done = (came: boolean) => (): void => {
      resolve(came);
      socket.destroy();
    };
    socket.once('data', done(true)).once('error', done(false)).once('close', done(false));
  });
}

function sshWords(sshd: TestSshd): string[] {
  return [
    ...['-F', 'none', '-i', sshd.identityFile, '-o', 'IdentityAgent=none', '-o', 'BatchMode=yes'],
    ...['-o', `UserKnownHostsFile=${sshd.knownHostsFile}`, '-p', String(sshd.port), `${sshd.user}@127.0.0.1`],
  ];
}

function sshForward(sshd: TestSshd, port: number, target: number): Row {
  const words = ['-f', '-N', '-L', `127.0.0.1:${port}:127.0.0.1:${target}`, '-o', 'ExitOnForwardFailure=yes'];
  const start = (): (() => Promise<void>) => {
    const child = spawn('ssh', [...words, ...sshWords(sshd)], { stdio: 'ignore', detached: true });
    return async () => {
      if (child.exitCode === null) await once(child, 'exit'); // it has gone into the background by then
      for (const pid of await listenersOf(port)) process.kill(pid, 'SIGTERM');
      while (await echoes(port)) await sleep(5);
    };
  };
  return firstByte('ssh -f -N -L', port, start, () => Promise.resolve());
}

/** The processes of ours that `ss` finds behind a port. */
async function listenersOf(port: number): Promise<number[]> {
  const { stdout } = await run('ss', ['-Hltnp', `sport = :${port}`]);
  return [...stdout.matchAll(/"ssh",pid=(\d+)/g)].map(([, pid]) => Number(pid));
}

function sshStdio(sshd: TestSshd, target: number): Row {
  return {
    name: 'ssh -W',
    async once() {
      const startedAt = performance.now();
      const child = spawn('ssh', ['-W', `127.0.0.1:${target}`, ...sshWords(sshd)], {
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      child.stdin.write('x');
      await once(child.stdout, 'data');
      const tookMs = performance.now() - startedAt;
      child.kill('SIGTERM');
      await once(child, 'exit');
      return tookMs;
    },
  };
}

const up = (home: TempHome, name: string) => (): (() => Promise<void>) => {
  const child = spawn(process.execPath, ['bin/tunnel.js', 'up', name], { env: home.env, stdio: 'ignore' });
  return async () => void (child.exitCode === null ? await once(child, 'exit') : undefined);
};

async function measured(rows: readonly Row[]): Promise<ReadonlyMap<string, readonly number[]>> {
  const times = new Map(rows.map(({ name }) => [name, new Array<number>()]));
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const row of round % 2 === 0 ? rows : [...rows].reverse()) {
      const tookMs = await row.once();
      if (round >= 0) times.get(row.name)?.push(tookMs);
    }
  }
  return times;
}

function table(times: ReadonlyMap<string, readonly number[]>, reference: string, against: 'above' | 'ratio'): string {
  const base = median(times.get(reference) ?? []);
  const rows = [...times].map(([name, all]) => {
    const mid = median(all);
    const compared = against === 'above' ? `+${short(mid - base)}` : (mid / base).toFixed(2);
    return [
      name,
      `${short(mid)} (${short(Math.min(...all))}–${short(Math.max(...all))})`,
      name === reference ? '' : compared,
    ];
  });
  return markdown(['command', 'ms', against === 'above' ? `above ${reference}` : `/ ${reference}`], rows);
}

/** Both ways to hold a command to the reference: milliseconds above it, and the ratio. */
function factsOf(times: ReadonlyMap<string, readonly number[]>, reference: string): Facts {
  const base = median(times.get(reference) ?? []);
  const rivals = [...times].filter(([name]) => name !== reference);
  return Object.fromEntries(
    rivals.map(([name, all]) => [name, { value: median(all) - base, ratio: median(all) / base }]),
  );
}

async function main(): Promise<void> {
  const echo = createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const target = (echo.address() as AddressInfo).port;
  await using sshd = await startSshd({ config: ['LogLevel ERROR'] });
  await using home = await tempHome();
  const tunnel = (...words: string[]): Promise<unknown> =>
    run(process.execPath, ['bin/tunnel.js', ...words], { env: home.env });
  const [port, demandPort, sshPort] = [await freePort(), await freePort(), await freePort()];
  await home.profile('bench', `${viaSshd(sshd)}forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${target}\n`);
  await home.profile(
    'demand',
    `${viaSshd(sshd)}forwards:\n  - { local: '127.0.0.1:${demandPort}', to: '127.0.0.1:${target}', open: on-demand, idle: 1s }\n`,
  );
  const verbs: Row[] = [
    command('node', EMPTY, home),
    ...['status', 'list', '--help', '--version'].map((word) => command(word, ['bin/tunnel.js', word], home)),
    command('completion', ['bin/tunnel.js', '__complete', '--', 'up', 'b'], home),
  ];
  const forwards: Row[] = [
    sshForward(sshd, sshPort, target),
    firstByte('tunnel up, cold', port, up(home, 'bench'), async () => {
      await tunnel('down', '--all');
      await tunnel('daemon', 'stop');
    }),
    firstByte('tunnel up, with a supervisor', port, up(home, 'bench'), async () => {
      await tunnel('down', 'bench');
      await sleep(LOGINS_APART_MS);
    }),
  ];
  const demand: Row[] = [
    sshStdio(sshd, target),
    firstByte(
      'tunnel, on demand',
      demandPort,
      () => () => Promise.resolve(),
      async () => {
        await tunnel('up', 'demand');
        await tunnel('restart', 'demand');
        while (!(await state(home, 'demand')).includes('"idle"')) await sleep(100);
        await sleep(LOGINS_APART_MS);
      },
    ),
  ];
  try {
    await tunnel('up', 'bench');
    const tables: string[] = [];
    let facts: Facts = {};
    for (const { rows, reference, against } of [
      { rows: verbs, reference: 'node', against: 'above' },
      { rows: forwards, reference: 'ssh -f -N -L', against: 'ratio' },
      { rows: demand, reference: 'ssh -W', against: 'ratio' },
    ] as const) {
      const times = await measured(rows);
      tables.push(table(times, reference, against));
      process.stdout.write(`${tables.at(-1) ?? ''}\n\n`);
      facts = { ...facts, ...factsOf(times, reference) };
    }
    if (write) await writeSection('start', { table: tables.join('\n\n'), facts });
  } finally {
    await tunnel('daemon', 'stop');
    echo.close();
  }
}

async function state(home: TempHome, name: string): Promise<string> {
  const { stdout } = await run(process.execPath, ['bin/tunnel.js', 'status', name, '--json'], { env: home.env });
  return stdout.replace(/\s+/g, '');
}

await main();
