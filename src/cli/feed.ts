import type { ControlClient } from '../control/client.ts';
import type { StatusEvent, StatusSnapshot, SupervisorStatus, TunnelStatus } from '../model/status.ts';

/** The tunnels as the supervisor tells them, kept up to date by its events. Ends with its client. */
export interface StatusFeed {
  readonly supervisor: SupervisorStatus | null;
  readonly tunnels: ReadonlyMap<string, TunnelStatus>;
  /** Calls back after each event was taken in. @returns how to stop that */
  onEvent(listener: (event: StatusEvent, before: TunnelStatus | undefined) => void): () => void;
}

/**
 * Subscribes on this line: the snapshot first, then every event in order.
 * @param connections with the finished connections, of which there may be thousands a second
 */
export async function openFeed(client: ControlClient, signal: AbortSignal, connections = false): Promise<StatusFeed> {
  const tunnels = new Map<string, TunnelStatus>();
  const listeners = new Set<(event: StatusEvent, before: TunnelStatus | undefined) => void>();
  // Nothing but notes precedes the snapshot: this line was not subscribed before.
  client.on('event', (event) => {
    const before = event.tunnel === null ? undefined : tunnels.get(event.tunnel);
    takeIn(event, tunnels);
    for (const listener of listeners) listener(event, before);
  });
  const snapshot: StatusSnapshot = await client.call('subscribe', { connections }, signal);
  const early = new Map(tunnels); // an event in the same packet as the snapshot is the newer one
  for (const tunnel of snapshot.tunnels) tunnels.set(tunnel.name, early.get(tunnel.name) ?? tunnel);
  return {
    supervisor: snapshot.supervisor,
    tunnels,
    onEvent: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function takeIn(event: StatusEvent, tunnels: Map<string, TunnelStatus>): void {
  if (event.event === 'tunnel') tunnels.set(event.tunnel, event.status);
  else if (event.event === 'removed') tunnels.delete(event.tunnel);
}
