/**
 * A tunnel in a process of its own, with levers of the data path switched off by its first argument, a JSON object.
 * Prints its port as the first line.
 */
import { createDial } from '../../src/ssh/dial.ts';
import type { Levers } from '../../src/ssh/data-path.ts';
import { forwardOver } from '../support/forward-over.ts';
import { aHop, aRequest } from '../support/ssh-dial.ts';

export interface LeverTunnelOptions {
  readonly levers: Partial<Levers>;
  readonly cipher: string;
  readonly sshPort: number;
  readonly user: string;
  readonly identityFile: string;
  readonly knownHostsFile: string;
  readonly targetPort: number;
}

async function main(options: LeverTunnelOptions): Promise<void> {
  const dial = createDial({ readSecret: () => Promise.resolve(undefined), levers: options.levers });
  const hop = aHop({
    port: options.sshPort,
    user: options.user,
    identities: [{ file: options.identityFile, explicit: true }],
    knownHosts: [options.knownHostsFile],
    ciphers: [options.cipher],
  });
  const transport = await dial(aRequest([hop]).request);
  await transport.ping();
  const { port } = await forwardOver(transport, { kind: 'tcp', host: '127.0.0.1', port: options.targetPort });
  process.stdout.write(`${port}\n`);
}

process.once('SIGTERM', () => process.exit(0));
await main(JSON.parse(process.argv[2] ?? '{}') as LeverTunnelOptions);
