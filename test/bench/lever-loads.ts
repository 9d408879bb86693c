/** The loads that levers of the data path are measured with. */
import { figure, throughput, type Measure } from './compare.ts';
import { latency } from './loads.ts';
import { connectionsPerSecond, cpuSeconds, download, firstByteUs, pingPongBesideUs, upload } from './measure.ts';
import { mostWhilePushing } from './memory.ts';

/** How much a run does. */
export interface LeverSize {
  readonly rounds: number;
  readonly bytes: number;
  readonly farBytes: number;
  readonly connections: number;
  readonly besideSeconds: number;
  readonly pushMs: number;
}

/** `transfer`: a rate and the CPU of both sides. `latency`: p50 and p99. `churn`: a rate and the CPU of the client. `figure`: one of its own. */
export interface LeverLoad {
  readonly kind: 'transfer' | 'latency' | 'churn' | 'figure';
  readonly measure: Measure;
  readonly rounds: number;
  /** Over the delay line. */
  readonly far?: true;
}

export const LOAD_NAMES = [
  'pushing',
  'down',
  'up',
  'down16',
  'up16',
  'open',
  'first',
  'rate',
  'beside up',
  'beside down',
  'far',
] as const;

export type LoadName = (typeof LOAD_NAMES)[number];

const MANY = 100_000;

/** In the order in which they are run: what looks at memory comes before what fills it. */
export function leverLoads(size: LeverSize): Readonly<Record<LoadName, LeverLoad>> {
  const { rounds, bytes, farBytes, connections, besideSeconds, pushMs } = size;
  const transfer = (name: string, move: (port: number) => Promise<number>): LeverLoad => ({
    ...{ kind: 'transfer', rounds, measure: throughput(name, bytes, move) },
  });
  const times = (name: string, once: (port: number) => Promise<number[]>): LeverLoad => ({
    ...{ kind: 'latency', rounds, measure: latency(name, once) },
  });
  return {
    pushing: { kind: 'figure', rounds: Math.min(rounds, 2), measure: pushing(pushMs) },
    down: transfer('download, 1 stream', (port) => download(port, bytes)),
    up: transfer('upload, 1 stream', (port) => upload(port, bytes)),
    down16: transfer('download, 16 streams', (port) => download(port, bytes, 16)),
    up16: transfer('upload, 16 streams', (port) => upload(port, bytes, 16)),
    open: times('connect to first byte, 30 in a row', (port) => firstByteUs(port, 30)),
    first: warm(
      times(`connect to first byte, ${connections} in a row`, (port) => firstByteUs(port, connections)),
      connections,
    ),
    rate: warm({ kind: 'churn', rounds, measure: churn('connections, 50 at once', 2 * connections) }, connections),
    'beside up': times('ping-pong beside 8 uploads', (port) => pingPongBesideUs('push', 8, port, MANY, besideSeconds)),
    'beside down': times('ping-pong beside a download', (port) =>
      pingPongBesideUs('pull', 1, port, MANY, besideSeconds),
    ),
    far: {
      ...{ kind: 'figure', rounds: Math.min(rounds, 3), far: true },
      measure: figure({ measure: 'download, 1 stream, 100 ms', unit: 'MB/s', more: true }, (port) =>
        download(port, farBytes),
      ),
    },
  };
}

/** Node's compiler is done with what is compared. */
function warm(load: LeverLoad, connections: number): LeverLoad {
  const warmUp: Measure['warmUp'] = async ({ port }) => void (await firstByteUs(port, 2 * connections));
  return { ...load, measure: { ...load.measure, warmUp } };
}

/** Connections a second, and what each costs the client. */
function churn(name: string, connections: number): Measure {
  return {
    columns: [
      { measure: name, unit: '1/s', more: true },
      { measure: `${name}: CPU of the client`, unit: 'µs', more: false },
    ],
    async once(client) {
      const clients = await client.pids();
      const before = cpuSeconds(clients);
      const rate = await connectionsPerSecond(client.port, connections, 50);
      return [rate, ((cpuSeconds(clients) - before) / connections) * 1e6];
    },
  };
}

function pushing(pushMs: number): Measure {
  return {
    columns: [{ measure: '64 uploads into slow sinks, resident at most', unit: 'MB', more: false }],
    once: async (one) => [await mostWhilePushing(one, pushMs)],
  };
}
