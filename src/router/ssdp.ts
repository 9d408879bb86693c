import { createSocket } from 'node:dgram';
import type { Clock } from '../model/clock.ts';
import type { Gateway } from './mapping-protocol.ts';
import { descriptionUrl, searchMessage } from './upnp-codec.ts';

/** UPnP Device Architecture section 1.1. */
const SSDP_PORT = 1900;
const SSDP_GROUP = '239.255.255.250';
/** The router itself is asked first; one that hears only the group (version 1.0 of the architecture) a little later. */
const ASKED_AT_MS = [0, 1_000] as const;
const GROUP_ASKED_AT_MS = [400, 1_500] as const;
/** The group's search lets devices wait for up to 1 s. */
const GIVE_UP_AT_MS = 3_000;
/** Other devices of the network answer the group too: none of them is believed, and not endlessly heard. */
const MOST_ANSWERS = 256;

export interface SearchParts {
  readonly gateway: Gateway;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly port?: number;
}

/**
 * Where the router describes itself. Only an answer from its own address, that points to itself, counts.
 * @returns undefined where it does not answer
 */
export function searchGateway({ gateway, clock, signal, port = SSDP_PORT }: SearchParts): Promise<URL | undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) return void resolve(undefined);
    const socket = createSocket('udp4');
    const timers: (() => void)[] = [];
    let answers = 0;
    let open = true;
    const finish = (found: URL | undefined): void => {
      if (!open) return;
      open = false;
      for (const cancel of timers) cancel();
      signal.removeEventListener('abort', aborted);
      socket.close();
      resolve(found);
    };
    const aborted = (): void => finish(undefined);
    signal.addEventListener('abort', aborted, { once: true });
    socket.on('error', () => finish(undefined));
    socket.on('message', (bytes, { address }) => {
      answers += 1;
      const found = address === gateway.address ? descriptionUrl(bytes, gateway.address) : undefined;
      if (found !== undefined || answers >= MOST_ANSWERS) finish(found);
    });
    // A network that does not carry a datagram is one in which nobody answers: the time is up soon.
    const send = (host: string): void => socket.send(searchMessage(host), port, host, () => undefined);
    socket.bind({ address: gateway.local, port: 0 }, () => {
      for (const atMs of ASKED_AT_MS) timers.push(clock.after(atMs, () => send(gateway.address)));
      for (const atMs of GROUP_ASKED_AT_MS) timers.push(clock.after(atMs, () => send(SSDP_GROUP)));
      timers.push(clock.after(GIVE_UP_AT_MS, () => finish(undefined)));
    });
  });
}
