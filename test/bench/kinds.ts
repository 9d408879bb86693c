/**
 * `npm run bench:kinds [-- --quick] [--write] [--only=relay,udp,remote,remote-socks,socks,trigger]`: each kind of forward beside what does the same without `tunnel`, taking
 * turns in one run: a relay beside plain TCP or UDP and socat, a remote forward and a proxy on the server beside `ssh -R`, a proxy beside `ssh -D`,
 * a trigger beside `ssh -L`. `--write` puts all that were measured into docs/performance.md.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startSshd } from '../support/sshd.ts';
import { benchOptions } from './bench-options.ts';
import { compare, figure, throughput, type Measure } from './compare.ts';
import { isInstalled, type Contestant, type Course } from './contestants.ts';
import { plain, socat, socatUdp, sshOf, tunnelOf, type Kind } from './kind-contestants.ts';
import { datagramPingUs, startDatagramEcho } from './datagrams.ts';
import { connectionsPerSecond, download, firstByteUs, pingPongUs, upload } from './measure.ts';
import { startGenerator } from './native.ts';
import { writeSection } from './page.ts';
import { median, renderTable, type Series } from './report.ts';

const run = promisify(execFile);
const KINDS: readonly Kind[] = ['relay', 'udp', 'remote', 'remote-socks', 'socks', 'trigger'];
const { quick, write, only } = benchOptions('bench:kinds', 'six minutes', KINDS);
const [ROUNDS, BYTES, CONNECTIONS] = quick ? [3, 200e6, 500] : [5, 1_000e6, 3_000];
const CIPHER = 'aes128-gcm@openssh.com';

interface Race {
  readonly kind: Kind;
  /** Whose figures the others are held to. */
  readonly reference: string;
  readonly starts: readonly ((course: Course) => Promise<Contestant>)[];
  readonly measures: readonly Measure[];
}

async function main(): Promise<void> {
  const generator = await startGenerator();
  const echo = await startDatagramEcho();
  const sshd = await startSshd({ config: ['LogLevel ERROR', 'MaxStartups 1000'] });
  const course: Course = { sshd, sshPort: sshd.port, targetPort: generator.said, cipher: CIPHER };
  const found: string[] = [];
  try {
    for (const race of races(course)) {
      if (only !== undefined && !only.includes(race.kind)) continue;
      found.push(
        `**${race.kind}**\n\n${await table(race, race.kind === 'udp' ? { ...course, targetPort: echo.port } : course)}`,
      );
      process.stdout.write(`\n${found.at(-1) ?? ''}\n`);
    }
    if (write) await writeSection('kinds', { table: found.join('\n\n') });
  } finally {
    await sshd.stop();
    await generator.stop();
    echo.close();
  }
}

function races(course: Course): readonly Race[] {
  const hasSocat = isInstalled('socat');
  const relays = [
    (on: Course) => tunnelOf('relay', on),
    (on: Course) => plain('plain TCP', on),
    ...(hasSocat ? [socat] : []),
  ];
  const udp = [
    (on: Course) => tunnelOf('udp', on),
    (on: Course) => plain('plain UDP', on),
    ...(hasSocat ? [socatUdp] : []),
  ];
  if (!hasSocat) process.stderr.write('left out, not installed: socat\n');
  return [
    { kind: 'relay', reference: 'plain TCP', starts: relays, measures: streams(rate) },
    { kind: 'udp', reference: 'plain UDP', starts: udp, measures: [datagrams()] },
    {
      kind: 'remote',
      reference: 'ssh -R',
      starts: [(on) => tunnelOf('remote', on), (on) => sshOf('remote', on)],
      measures: streams(throughput),
    },
    {
      kind: 'remote-socks',
      reference: 'ssh -R',
      starts: [(on) => tunnelOf('remote-socks', on), (on) => sshOf('remote-socks', on)],
      measures: proxied(course.targetPort),
    },
    {
      kind: 'trigger',
      reference: 'ssh -L',
      starts: [(on) => tunnelOf('trigger', on), (on) => sshOf('trigger', on)],
      measures: streams(throughput),
    },
    {
      kind: 'socks',
      reference: 'ssh -D',
      starts: [(on) => tunnelOf('socks', on), (on) => sshOf('socks', on)],
      measures: proxied(course.targetPort),
    },
  ];
}

function datagrams(): Measure {
  return figure({ measure: 'datagram and its echo, p50', unit: 'µs', more: false }, async (port) =>
    median(await datagramPingUs(port, 2_000)),
  );
}

/** The rate alone: plain TCP has no process between, and those of socat come and go with their connections. */
function rate(measure: string, _bytes: number, move: (port: number) => Promise<number>): Measure {
  return figure({ measure, unit: 'MB/s', more: true }, move);
}

function streams(moved: typeof throughput): readonly Measure[] {
  return [
    moved('download, 1 stream', BYTES, (port) => download(port, BYTES)),
    moved('upload, 1 stream', BYTES, (port) => upload(port, BYTES)),
    moved('download, 16 streams', BYTES, (port) => download(port, BYTES, 16)),
    figure({ measure: 'connect to first byte, p50', unit: 'µs', more: false }, async (port) =>
      median(await firstByteUs(port, 200)),
    ),
    figure({ measure: 'ping-pong, p50', unit: 'µs', more: false }, async (port) =>
      median(await pingPongUs(port, 2_000)),
    ),
    figure({ measure: 'connections a second, 50 at once', unit: '1/s', more: true }, (port) =>
      connectionsPerSecond(port, CONNECTIONS, 50),
    ),
  ];
}

/** Through a proxy the client is curl: a gopher selector (RFC 1436) is a line, and what the target answers to it are bytes. */
function proxied(targetPort: number): readonly Measure[] {
  const ask = async (port: number, bytes: number, figureOf: string): Promise<number> => {
    const url = `gopher://127.0.0.1:${targetPort}/0down%20${bytes}`;
    const words = [
      '-q',
      '-sS',
      '-o',
      '/dev/null',
      '--socks5-hostname',
      `127.0.0.1:${port}`,
      '-w',
      `%{${figureOf}}`,
      url,
    ];
    return Number((await run('curl', words)).stdout);
  };
  return [
    throughput('download, 1 stream', BYTES, async (port) => (await ask(port, BYTES, 'speed_download')) / 1e6),
    figure({ measure: 'connect to first byte, p50', unit: 'µs', more: false }, async (port) => {
      const times: number[] = [];
      for (let index = 0; index < 30; index += 1) times.push((await ask(port, 1, 'time_starttransfer')) * 1e6);
      return median(times);
    }),
  ];
}

async function table({ starts, measures, reference }: Race, course: Course): Promise<string> {
  const contestants: Contestant[] = [];
  try {
    for (const start of starts) contestants.push(await start(course));
    const series: Series[] = [];
    for (const measure of measures) {
      series.push(...(await compare(measure, contestants, course.sshd, ROUNDS)));
      process.stderr.write(`${measure.columns[0]?.measure ?? ''}: done\n`);
    }
    return renderTable(
      series,
      contestants.map(({ name }) => name),
      reference,
    );
  } finally {
    await Promise.all(contestants.map((one) => one.stop()));
  }
}

await main();
