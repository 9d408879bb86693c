import { readFile } from 'node:fs/promises';
import type { ConnectionRecord } from '../../src/model/status.ts';
import { ask } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { faultyPath, type FaultyPath } from '../support/faulty-path.ts';
import { freePort, startSshd, type TestSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

const KEEPALIVE = { intervalMs: 500, maxMissed: 2 };
/** What the profile promises: a silent loss is seen within this time of the last byte. */
export const DETECTION_MS = KEEPALIVE.intervalMs * (KEEPALIVE.maxMissed + 1);

/** A tunnel `t` to an echo service, its SSH connection over a path that can be made faulty to an sshd that can. */
export interface Laboratory extends AsyncDisposable {
  readonly cli: TunnelCli;
  readonly sshd: TestSshd;
  readonly path: FaultyPath;
  readonly port: number;
  /** The profile's text; it ends in the list of forwards. */
  readonly profile: string;
  /** By the lock: also of a supervisor that is stopped. */
  supervisor(): Promise<{ readonly pid: number; readonly socket: string }>;
  /** What the tunnel's log says of connections that have ended. */
  records(): Promise<readonly ConnectionRecord[]>;
  /** Resolves once a client is served; says how long that took. */
  calm(withinMs: number): Promise<number>;
}

export async function laboratory(): Promise<Laboratory> {
  const target = await TcpTarget.start(echo);
  const sshd = await startSshd();
  const path = await faultyPath(sshd.port);
  const cli = await tunnelCli();
  const port = await freePort();
  const profile = [
    `${viaSshd(sshd, path.port)}keepalive: { interval: ${KEEPALIVE.intervalMs}ms, maxMissed: ${KEEPALIVE.maxMissed} }`,
    'reconnect: { initial: 200ms, max: 2s }',
    'timeouts: { connect: 3s, login: 5s, channel: 5s }',
    `forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${target.port}\n`,
  ].join('\n');
  await cli.home.profile('t', profile);
  await cli.ok('up', 't');
  return {
    ...{ cli, sshd, path, port, profile },
    supervisor: async () =>
      JSON.parse(await readFile(`${cli.home.stateDir}/supervisor.lock`, 'utf8')) as { pid: number; socket: string },
    records: async () => {
      const { stdout } = await cli.ok('logs', 't', '--json');
      const lines = stdout.split('\n').filter((line) => line.includes('"event":"connection"'));
      return lines.map((line) => JSON.parse(line) as ConnectionRecord);
    },
    calm: async (withinMs) => {
      const fromMs = performance.now();
      await eventually(async () => (await ask(port, 'calm?').catch(() => '')) === 'calm?', { withinMs });
      return performance.now() - fromMs;
    },
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await path.close();
      await sshd.stop();
      await target.close();
    },
  };
}
