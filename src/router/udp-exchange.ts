import { createSocket } from 'node:dgram';
import type { Clock } from '../model/clock.ts';
import type { Gateway } from './mapping-protocol.ts';
import { asError } from '../model/failure.ts';

/** RFC 6886 section 2.1 and RFC 6887 section 9: both protocols listen there. */
export const PORT_MAPPING_PORT = 5351;

export interface ExchangeParts<Answer> {
  readonly gateway: Gateway;
  readonly port: number;
  readonly message: Buffer;
  /** Undefined for what is no answer to this message: it is passed over. */
  readonly read: (bytes: Buffer) => Answer | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** RFC 6886 section 3.1: 250 ms, doubling. Four of its nine tries, since a router that speaks it is one hop away. */
const SENT_AT_MS = [0, 250, 750, 1_750] as const;
const GIVE_UP_AT_MS = 2_750;
/** A router that sends so many other datagrams is none to wait for. */
const MOST_ANSWERS = 64;

/**
 * Asks the router by UDP until it answers. The socket is connected: the system passes on nothing that comes from
 * another address or port.
 * @returns undefined where it does not answer, or nobody listens there
 */
export function exchange<Answer>(parts: ExchangeParts<Answer>): Promise<Answer | undefined> {
  const { gateway, port, message, read, clock, signal } = parts;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return void reject(asError(signal.reason));
    const socket = createSocket('udp4');
    const timers: (() => void)[] = [];
    let answers = 0;
    const finish = (settle: () => void): void => {
      for (const cancel of timers.splice(0)) cancel();
      signal.removeEventListener('abort', aborted);
      socket.removeAllListeners('message');
      socket.close();
      settle();
    };
    const once = onlyOnce(finish);
    const aborted = (): void => once(() => reject(asError(signal.reason)));
    signal.addEventListener('abort', aborted, { once: true });
    // An ICMP "port unreachable" comes as an error: nobody listens there. A missing route or address ends it as well.
    socket.on('error', () => once(() => resolve(undefined)));
    socket.on('message', (bytes) => {
      const answer = read(bytes);
      answers += 1;
      if (answer !== undefined || answers >= MOST_ANSWERS) once(() => resolve(answer));
    });
    socket.on('connect', () => {
      const send = (): void => void socket.send(message);
      for (const atMs of SENT_AT_MS) timers.push(clock.after(atMs, send));
      timers.push(clock.after(GIVE_UP_AT_MS, () => once(() => resolve(undefined))));
    });
    socket.bind({ address: gateway.local, port: 0 }, () => socket.connect(port, gateway.address));
  });
}

function onlyOnce(act: (settle: () => void) => void): (settle: () => void) => void {
  let done = false;
  return (settle) => {
    if (done) return;
    done = true;
    act(settle);
  };
}
