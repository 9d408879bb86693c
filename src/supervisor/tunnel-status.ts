import type { ForwardFacts } from '../forward/forward-context.ts';
import type { CarrierStatus } from '../link/carrier.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import { exposureOf, returnDoors } from '../model/exposure.ts';
import type { TunnelError } from '../model/failure.ts';
import { forwardTarget } from '../model/forward-target.ts';
import type { MappingFacts } from '../model/mapping.ts';
import type { ForwardPlan, MapPlan, Plan } from '../model/plan.ts';
import type { ConnectionStatus, ErrorStatus, ForwardStatus, MapStatus, TunnelStatus } from '../model/status.ts';
import { forwardState, tunnelState, type TunnelFacts } from './state.ts';

export interface StatusParts {
  readonly plan: Plan;
  readonly facts: TunnelFacts;
  readonly carrier: CarrierStatus | null;
  /** As in `facts.forwards`, in the same order. */
  readonly forwards: readonly ForwardFacts[];
  /** Of forwards that are not among these any more. */
  readonly leavingConnections: number;
  /** Wall clock of the moment in which this error was first seen. */
  readonly errorAtMs: (error: TunnelError) => number;
}

/** The row of `status` for one tunnel, but for `since`, which takes a memory of the state before. */
export function tunnelStatus(parts: StatusParts): Omit<TunnelStatus, 'since'> {
  const { plan, facts, carrier, forwards, leavingConnections, errorAtMs } = parts;
  const state = tunnelState(facts);
  const said = (error: TunnelError | null): ErrorStatus | null => error && errorStatus(error, errorAtMs(error));
  const forwardError = facts.forwards.find(({ error }) => error !== null)?.error ?? null;
  const running = facts.wish === 'run';
  const waits =
    running && facts.failure === null && facts.carrier !== null && carrier !== null && carrier.nextRetryAtMs !== null;
  return {
    name: plan.name,
    state,
    via: plan.hops.at(-1)?.label ?? null,
    latencyMs: state === 'up' ? tenths(carrier?.latencyMs ?? null) : null,
    ...(state === 'up' && carrier?.silentSinceMs !== undefined
      ? { silentSince: new Date(carrier.silentSinceMs).toISOString() }
      : {}),
    reconnects: carrier?.reconnects ?? 0,
    lastError: running && state !== 'up' ? said(facts.failure ?? carrier?.lastError ?? forwardError) : null,
    nextRetryAt: waits ? new Date(carrier.nextRetryAtMs ?? 0).toISOString() : null,
    ...linkStatus(carrier),
    ...(running && carrier?.renewalError
      ? { renewalError: errorStatus(carrier.renewalError, errorAtMs(carrier.renewalError)) }
      : {}),
    ...(carrier?.connections === undefined ? {} : { connections: carrier.connections.map(rounded) }),
    ...(leavingConnections === 0 ? {} : { leavingConnections }),
    forwards: forwards.map((forward, index): ForwardStatus => {
      const { name, kind, bind, target, health, openConnections, totalConnections, receivedBytes, sentBytes } = forward;
      const { demand, map, healthError } = forward;
      const live = facts.forwards[index] ?? { listening: false, error: null, wasUp: false };
      const lastError = running ? said(live.error) : null;
      const counts = { openConnections, totalConnections, receivedBytes, sentBytes };
      const why = healthError === undefined ? {} : { healthError: errorStatus(healthError, errorAtMs(healthError)) };
      const closes = demand === undefined ? {} : { idleClosesAt: isoOrNull(running ? demand.closesAtMs : null) };
      const written = plan.forwards.find((one) => one.name === name);
      const door = written === undefined ? {} : doorsSaid(written);
      const led = written?.map && running && map ? { map: mapStatus(written.map, map, said) } : {};
      const state = forwardState(live, facts);
      return { name, kind, bind, target, state, health, ...why, ...counts, lastError, ...door, ...closes, ...led };
    }),
  };
}

/** Who can reach it from elsewhere, and what the server opens for it. */
function doorsSaid(forward: ForwardPlan): Pick<ForwardStatus, 'gateway' | 'returnPorts'> {
  const gateway = exposureOf(forward);
  const doors = forward.kind === 'trigger' ? returnDoors(forward) : [];
  const returnPorts = doors.map(({ bind, exposure }) => ({ bind: formatEndpoint(bind), gateway: exposure }));
  return { ...(gateway === undefined ? {} : { gateway }), ...(returnPorts.length === 0 ? {} : { returnPorts }) };
}

function mapStatus(
  { port, protocol }: MapPlan,
  { state, way, router, external, expiresAtMs, error }: MappingFacts,
  said: (error: TunnelError | null) => ErrorStatus | null,
): MapStatus {
  const granted = external === null ? null : formatEndpoint({ kind: 'tcp', ...external });
  const lastError = said(error);
  return { state, port, protocol, external: granted, way, router, expiresAt: isoOrNull(expiresAtMs), lastError };
}

function linkStatus(carrier: CarrierStatus | null): Pick<TunnelStatus, 'link'> {
  const facts = carrier?.facts ?? null;
  if (facts === null) return {};
  const { serverVersion: server, kex, hostKey, cipher, mac, compression, notes, warnings } = facts;
  return { link: { server, kex, hostKey, cipher, mac, compression, notes, warnings } };
}

function rounded({ channels, latencyMs }: ConnectionStatus): ConnectionStatus {
  return { channels, latencyMs: tenths(latencyMs) };
}

function isoOrNull(atMs: number | null): string | null {
  return atMs === null ? null : new Date(atMs).toISOString();
}

export function errorStatus({ code, message, hint }: TunnelError, atMs: number): ErrorStatus {
  return { code, message, hint, at: new Date(atMs).toISOString() };
}

/** Facts of a forward that never came into being. */
export function absentForward(plan: ForwardPlan, error: TunnelError | null): ForwardFacts {
  const { name, kind, bind } = plan;
  const counts = { openConnections: 0, totalConnections: 0, receivedBytes: 0, sentBytes: 0 };
  const places = { bind: formatEndpoint(bind), target: forwardTarget(plan) };
  return { name, kind, ...places, listening: false, error, health: null, ...counts };
}

/** What makes a change of status worth an event at once: all but the figures that move with each connection. */
export function changeKey(status: TunnelStatus): string {
  const forwards = status.forwards.map(({ name, kind, bind, target, state, health, healthError, lastError, map }) => {
    const led = map && { ...map, expiresAt: null }; // each renewal moves it
    return { name, kind, bind, target, state, health, healthError, lastError, map: led };
  });
  const figures = { latencyMs: null, leavingConnections: null };
  return JSON.stringify({ ...status, ...figures, connections: status.connections?.length, forwards });
}

/** The figures whose changes are told a little later, together. Bytes are not among them: they tell nothing by themselves. */
export function figuresKey({ latencyMs, leavingConnections, forwards }: TunnelStatus): string {
  const figures = forwards.map(({ openConnections, totalConnections, idleClosesAt }) => {
    return [openConnections, totalConnections, idleClosesAt?.slice(0, 'YYYY-MM-DDThh:mm:ss'.length)];
  });
  return JSON.stringify([latencyMs, leavingConnections, ...figures]);
}

/** A tenth of a millisecond is all that a round trip can mean. */
function tenths(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 10) / 10;
}
