import { cpuSeconds } from './measure.ts';
import type { Contestant } from './contestants.ts';
import type { Series } from './report.ts';

/** One figure of a measure. */
export interface Column {
  readonly measure: string;
  readonly unit: string;
  /** Whether a larger value is better. */
  readonly more: boolean;
}

/** One load, and the figures that one round of it gives, in the order of its columns. */
export interface Measure {
  readonly columns: readonly Column[];
  /** What each contestant goes through once before its rounds. */
  warmUp?(contestant: Contestant): Promise<void>;
  once(contestant: Contestant, server: Server): Promise<readonly number[]>;
}

/** The sshd that all contestants use. Only the one whose turn it is moves anything, so its work is theirs. */
export interface Server {
  pids(): Promise<readonly number[]>;
}

/** Every contestant in turn, the order reversed every other round, after one round that does not count. */
export async function compare(
  measure: Measure,
  contestants: readonly Contestant[],
  server: Server,
  rounds: number,
): Promise<Series[]> {
  const series = measure.columns.map((column) => ({
    ...column,
    rounds: Object.fromEntries(contestants.map(({ name }) => [name, new Array<number>()])),
  }));
  for (const one of contestants) await measure.warmUp?.(one);
  for (let round = -1; round < rounds; round += 1) {
    for (const one of round % 2 === 0 ? contestants : [...contestants].reverse()) {
      const values = await measure.once(one, server);
      if (round < 0) continue;
      series.forEach(({ rounds }, index) => rounds[one.name]?.push(values[index] ?? NaN));
    }
  }
  return series;
}

/** A load that moves `bytes`, as its rate in MB/s and the CPU seconds a GB of the contestant and of its server. */
export function throughput(name: string, bytes: number, move: (port: number) => Promise<number>): Measure {
  return {
    columns: [
      { measure: name, unit: 'MB/s', more: true },
      { measure: `${name}: CPU of the client`, unit: 's/GB', more: false },
      { measure: `${name}: CPU of the server`, unit: 's/GB', more: false },
    ],
    async once(contestant, server) {
      const [clients, servers] = [await contestant.pids(), await server.pids()];
      const [client, sshd] = [cpuSeconds(clients), cpuSeconds(servers)];
      const rate = await move(contestant.port);
      return [rate, (cpuSeconds(clients) - client) / (bytes / 1e9), (cpuSeconds(servers) - sshd) / (bytes / 1e9)];
    },
  };
}

/** A load with one figure. */
export function figure(column: Column, once: (port: number) => Promise<number>): Measure {
  return { columns: [column], once: async ({ port }) => [await once(port)] };
}
