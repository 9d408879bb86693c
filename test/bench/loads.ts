/** What is measured, group by group. */
import { figure, throughput, type Measure } from './compare.ts';
import { connectionsPerSecond, download, firstByteUs, pingPongBesideUs, pingPongUs, upload } from './measure.ts';
import { percentile, median } from './report.ts';

/** How much a run does. */
export interface Size {
  readonly rounds: number;
  /** Of a transfer on a short path. */
  readonly bytes: number;
  /** Of the one transfer on a long path that shows how far a window grows. */
  readonly farBytes: number;
  /** Of the others there: the server's window bounds them, so that their rate is the same from the beginning. */
  readonly farUploadBytes: number;
  readonly farConnections: number;
  /** 50 at once. */
  readonly connections: number;
  /** One after the other, in each round. */
  readonly inARow: number;
  /** Those before the first round. */
  readonly warmUp: number;
  /** Connections one after the other take no longer, a round: 2,000 through a program that leaves Nagle's algorithm on would be a minute and a half. */
  readonly inARowSeconds: number;
  /** Pings beside a load. */
  readonly besideSeconds: number;
}

const MANY = 100_000;

/** Both ends on this machine, nothing between them. */
export function nearLoads(size: Size): readonly Measure[] {
  const { bytes, connections } = size;
  return [
    throughput('download, 1 stream', bytes, (port) => download(port, bytes)),
    throughput('upload, 1 stream', bytes, (port) => upload(port, bytes)),
    throughput('download, 16 streams', bytes, (port) => download(port, bytes, 16)),
    throughput('upload, 16 streams', bytes, (port) => upload(port, bytes, 16)),
    throughput('upload, 64 streams', bytes, (port) => upload(port, bytes, 64)),
    firstByte(size),
    figure({ measure: 'connections a second, 50 at once', unit: '1/s', more: true }, (port) =>
      connectionsPerSecond(port, connections, 50),
    ),
    latency('ping-pong', (port) => pingPongUs(port, 2_000)),
    latency('ping-pong beside a full upload', (port) => pingPongBesideUs('push', 1, port, MANY, size.besideSeconds)),
    latency('ping-pong beside a full download', (port) => pingPongBesideUs('pull', 1, port, MANY, size.besideSeconds)),
  ];
}

/** The first connections of a process: for contestants that were only just started. */
export function coldLoad(connections: number): Measure {
  return latency(`connect to first byte, first ${connections} of a process`, (port) => firstByteUs(port, connections));
}

/** What a person gets who asks for nothing: each program with its own defaults. */
export function defaultLoads(size: Size): readonly Measure[] {
  const { bytes } = size;
  return [
    throughput('download, 1 stream', bytes, (port) => download(port, bytes)),
    throughput('upload, 1 stream', bytes, (port) => upload(port, bytes)),
    firstByte(size),
  ];
}

/** 50 ms each way. Upwards the server's window of 2 MiB bounds everybody, so that a transfer there is a short one. */
export function farLoads({ farBytes, farUploadBytes, farConnections }: Size): readonly Measure[] {
  const many = 8 * farUploadBytes;
  return [
    throughput('download, 1 stream', farBytes, (port) => download(port, farBytes)),
    rate('upload, 1 stream', (port) => upload(port, farUploadBytes)),
    throughput('upload, 16 streams', many, (port) => upload(port, many, 16)),
    figure({ measure: 'connect to first byte, p50', unit: 'µs', more: false }, async (port) =>
      median(await firstByteUs(port, farConnections)),
    ),
  ];
}

/** The rate alone: of so few bytes the CPU time says nothing. */
function rate(measure: string, move: (port: number) => Promise<number>): Measure {
  return figure({ measure, unit: 'MB/s', more: true }, move);
}

/** The first thousands of connections pay for Node's compiler, and no later one does: a supervisor runs for weeks. */
function firstByte({ inARow, warmUp, inARowSeconds }: Size): Measure {
  return {
    ...latency('connect to first byte, warm', (port) => firstByteUs(port, inARow, inARowSeconds)),
    warmUp: async ({ port }) => void (await firstByteUs(port, warmUp, inARowSeconds)),
  };
}

/** Times in microseconds, as their median and what all but one in a hundred stay under. */
export function latency(measure: string, once: (port: number) => Promise<number[]>): Measure {
  return {
    columns: [
      { measure: `${measure}, p50`, unit: 'µs', more: false },
      { measure: `${measure}, p99`, unit: 'µs', more: false },
    ],
    async once({ port }) {
      const times = await once(port);
      return [median(times), percentile(times, 0.99)];
    },
  };
}
