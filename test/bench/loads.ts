/** What is measured, group by group. */
import { figure, throughput, type Measure } from './compare.ts';
import { connectionsPerSecond, download, firstByteUs, pingPongUs, upload } from './measure.ts';
import { percentile, median } from './report.ts';

/** How much a run does. */
export interface Size {
  readonly rounds: number;
  readonly bytes: number;
  readonly connections: number;
}

/** Both ends on this machine, nothing between them. */
export function nearLoads({ bytes, connections }: Size): readonly Measure[] {
  return [
    throughput('download, 1 stream', bytes, (port) => download(port, bytes)),
    throughput('upload, 1 stream', bytes, (port) => upload(port, bytes)),
    throughput('download, 16 streams', bytes, (port) => download(port, bytes, 16)),
    throughput('upload, 16 streams', bytes, (port) => upload(port, bytes, 16)),
    throughput('upload, 64 streams', bytes, (port) => upload(port, bytes, 64)),
    firstByte(300),
    figure({ measure: 'connections a second, 50 at once', unit: '1/s', more: true }, (port) =>
      connectionsPerSecond(port, connections, 50),
    ),
    figure({ measure: 'ping-pong, p50', unit: 'µs', more: false }, async (port) =>
      median(await pingPongUs(port, 2_000)),
    ),
    figure({ measure: 'ping-pong beside a full upload, p99', unit: 'µs', more: false }, (port) =>
      pingBesideUpload(port, bytes),
    ),
  ];
}

/** What a person gets who asks for nothing: each program with its own defaults. */
export function defaultLoads({ bytes }: Size): readonly Measure[] {
  return [
    throughput('download, 1 stream', bytes, (port) => download(port, bytes)),
    throughput('upload, 1 stream', bytes, (port) => upload(port, bytes)),
    firstByte(200),
  ];
}

/** 50 ms each way. Upwards the server's window of 2 MiB bounds everybody, so that a transfer there is a short one. */
export function farLoads({ bytes }: Size): readonly Measure[] {
  const few = Math.min(bytes, 50e6);
  const some = Math.min(bytes, 400e6);
  return [
    throughput('download, 1 stream', bytes, (port) => download(port, bytes)),
    throughput('upload, 1 stream', few, (port) => upload(port, few)),
    throughput('upload, 16 streams', some, (port) => upload(port, some, 16)),
    figure({ measure: 'connect to first byte, p50', unit: 'µs', more: false }, async (port) =>
      median(await firstByteUs(port, 10)),
    ),
  ];
}

function firstByte(connections: number): Measure {
  return {
    columns: [
      { measure: 'connect to first byte, p50', unit: 'µs', more: false },
      { measure: 'connect to first byte, p99', unit: 'µs', more: false },
    ],
    async once({ port }) {
      const times = await firstByteUs(port, connections);
      return [median(times), percentile(times, 0.99)];
    },
  };
}

/** The upload is begun first and outlasts the pings, so that each of them meets it at full speed. */
async function pingBesideUpload(port: number, bytes: number): Promise<number> {
  let uploading = true;
  const upload1 = upload(port, bytes).finally(() => (uploading = false));
  const times: number[] = [];
  while (uploading) times.push(...(await pingPongUs(port, 20)));
  await upload1;
  return percentile(times.slice(0, -20), 0.99);
}
