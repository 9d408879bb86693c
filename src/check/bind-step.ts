import { listen } from '../forward/listen/listener.ts';
import { listenUdp } from '../forward/udp/udp-listener.ts';
import { formatEndpoint, type TcpEndpoint } from '../model/endpoint.ts';
import type { ForwardPlan } from '../model/plan.ts';
import { timed, type CheckStep, type TimedNeeds } from './timed.ts';

/**
 * That the listeners of this machine can be bound, as `up` would: each is bound and let go at once, and whoever connects
 * meanwhile is cut off. Not for a Unix socket, whose file of before would go with that.
 */
export async function* proveBinds(
  forwards: readonly ForwardPlan[],
  needs: TimedNeeds,
): AsyncGenerator<CheckStep, void> {
  for (const forward of forwards) {
    const { kind, name, bind } = forward;
    if (kind === 'remote' || kind === 'remote-socks' || bind.kind === 'unix') continue; // the server's to bind, or a file
    const datagrams = kind === 'relay' && forward.protocol === 'udp';
    yield await timed(needs, 'bind', `${name}: ${formatEndpoint(bind)}`, () => bindOnce(bind, datagrams));
  }
}

async function bindOnce(bind: TcpEndpoint, datagrams: boolean): Promise<string> {
  const notes: string[] = [];
  const common = { bind, nameHolder: true, onNote: (note: string) => notes.push(note) };
  const nothing = (): void => undefined; // it is let go before anything could come of it
  const listener = datagrams
    ? await listenUdp({ ...common, onDatagram: nothing, onError: nothing })
    : await listen({ ...common, onSocket: (socket) => socket.destroy(), onAcceptError: nothing });
  listener.close();
  return ['free', ...notes].join('; ');
}
