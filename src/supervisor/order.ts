import { TunnelError } from '../model/failure.ts';
import type { StatusEvent, TunnelState } from '../model/status.ts';

export interface OtherTunnels {
  /** undefined where no such tunnel runs. */
  readonly state: (name: string) => TunnelState | undefined;
  readonly subscribe: (listener: (event: StatusEvent) => void) => () => void;
}

/**
 * Resolves once every tunnel of `after` is up (or idle: it will be when it is used). Rejects with UNREACHABLE where one
 * of them has failed or was taken down, so that the link backs off and asks again; with the signal's reason when aborted.
 */
export function firstUp(
  tunnel: string,
  after: readonly string[],
  signal: AbortSignal,
  others: OtherTunnels,
): Promise<void> {
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      unsubscribe();
      signal.removeEventListener('abort', aborted);
      settle();
    };
    const aborted = (): void => end(() => reject(signal.reason as Error));
    const look = (): void => {
      const hopeless = after.find((name) => isHopeless(others.state(name)));
      if (hopeless !== undefined) return end(() => reject(cannotFollow(tunnel, hopeless, others.state(hopeless))));
      if (after.every((name) => isThere(others.state(name)))) end(resolve);
    };
    const unsubscribe = others.subscribe((event) => {
      if ((event.event === 'tunnel' || event.event === 'removed') && after.includes(event.tunnel)) look();
    });
    signal.addEventListener('abort', aborted, { once: true });
    look();
  });
}

function isThere(state: TunnelState | undefined): boolean {
  return state === 'up' || state === 'idle';
}

function isHopeless(state: TunnelState | undefined): boolean {
  return state === undefined || state === 'failed' || state === 'stopped' || state === 'stopping';
}

function cannotFollow(tunnel: string, first: string, state: TunnelState | undefined): TunnelError {
  const hint = `Bring it up with \`tunnel up ${first}\`.`;
  return new TunnelError(
    'UNREACHABLE',
    `Cannot connect ${tunnel}: ${first}, which comes first, is ${state ?? 'stopped'}`,
    { hint },
  );
}
