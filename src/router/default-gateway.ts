import { createSocket } from 'node:dgram';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { TunnelError } from '../model/failure.ts';
import { gatewayInProcRoute, gatewayInRouteGet, gatewayInRoutePrint } from './gateway-table.ts';
import type { Gateway } from './mapping-protocol.ts';

const COMMAND_DEADLINE_MS = 5_000;

/**
 * The router that leads out of this network, and our address towards it.
 * @param localHost speak to it from this address; null leaves that to the system
 * @throws ROUTER_NOT_FOUND where there is none, or it cannot be reached from that address
 */
export async function findGateway(localHost: string | null): Promise<Gateway> {
  const address = await defaultGateway();
  if (address === undefined) {
    throw new TunnelError('ROUTER_NOT_FOUND', 'Cannot ask the router: this machine has no IPv4 default gateway', {
      hint: 'Check the network. A VPN that leads all traffic has no router to ask.',
    });
  }
  return { address, local: await localAddress(address, localHost) };
}

async function defaultGateway(): Promise<string | undefined> {
  try {
    switch (process.platform) {
      case 'linux':
      case 'android':
        return gatewayInProcRoute(await readFile('/proc/net/route', 'utf8'));
      case 'win32':
        return gatewayInRoutePrint(await output('route', ['print', '-4', '0.0.0.0']));
      default:
        return gatewayInRouteGet(await output('route', ['-n', 'get', 'default']));
    }
  } catch (thrown) {
    throw new TunnelError('ROUTER_NOT_FOUND', 'Cannot ask the router: the default gateway cannot be read', {
      cause: thrown,
      hint: 'Check the network.',
    });
  }
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { timeout: COMMAND_DEADLINE_MS, windowsHide: true });
  return stdout;
}

/** The source address that the system takes towards the router: connecting a datagram socket sends nothing. */
function localAddress(gateway: string, localHost: string | null): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    const failed = (cause: unknown): void => {
      socket.close();
      const from = localHost === null ? '' : ` from ${localHost}`;
      reject(new TunnelError('ROUTER_NOT_FOUND', `Cannot ask the router ${gateway}${from}: no way there`, { cause }));
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      const { address } = socket.address();
      socket.close();
      resolve(address);
    });
    socket.bind({ port: 0, ...(localHost === null ? {} : { address: localHost }) }, () => socket.connect(9, gateway));
  });
}
