import { FAILURES, type FailureFacts } from '../../model/failure.ts';
import type { ErrorStatus, ForwardStatus, TunnelStatus } from '../../model/status.ts';
import { spanText } from '../render/duration.ts';

/** What `up`, `restart` and `answer` know while they wait. */
export interface SettleFacts {
  /** The tunnels waited for, in the order given. */
  readonly order: readonly string[];
  /** As last heard; a tunnel that is not here is not running. */
  readonly tunnels: ReadonlyMap<string, TunnelStatus>;
  /** A person can be asked by this command: then `waiting` is no end. */
  readonly attended: boolean;
  /** How long was waited; null while there is still time. */
  readonly timeUpAfterMs: number | null;
  /** What is not up stays wanted, and is tried after this command has ended. */
  readonly goesOn: boolean;
}

/** One tunnel that is not up, and why: what is printed, and what `--json` and the exit code say. */
export interface UpFailure {
  readonly tunnel: string;
  readonly facts: FailureFacts;
}
export type Settlement =
  /** `troubles`: the network errors of tunnels that are still being tried, for the first line of impatience. */
  | { readonly kind: 'pending'; readonly troubles: readonly UpFailure[] }
  /** All up where `failures` is empty; otherwise its first decides the exit code. */
  | { readonly kind: 'done'; readonly failures: readonly UpFailure[] };

type Verdict =
  | { readonly kind: 'good' }
  | { readonly kind: 'undecided' }
  /** It is up, and the router has not answered yet: worth waiting for, and no failure when it does not. */
  | { readonly kind: 'mapping' }
  /** The network's doing: tried again until time is up. */
  | { readonly kind: 'trying'; readonly failure: UpFailure }
  | { readonly kind: 'bad'; readonly failure: UpFailure };

/**
 * Whether to go on waiting. A refused login, a host key, a port here or a forward there ends the wait at once, the
 * network only with time. A failure waits for tunnels named before it that are at their first try, since the first
 * failure in the order given decides; it does not wait for those that the network keeps away.
 */
export function settle(facts: SettleFacts): Settlement {
  const verdicts = facts.order.map((name) => judge(name, facts));
  const firstBad = verdicts.findIndex(({ kind }) => kind === 'bad');
  const before = firstBad < 0 ? verdicts : verdicts.slice(0, firstBad);
  const open = before.some(({ kind }) => {
    return kind === 'undecided' || kind === 'mapping' || (firstBad < 0 && kind === 'trying');
  });
  if (open && facts.timeUpAfterMs === null) {
    return {
      kind: 'pending',
      troubles: verdicts.flatMap((verdict) => (verdict.kind === 'trying' ? verdict.failure : [])),
    };
  }
  if (facts.timeUpAfterMs === null) {
    return { kind: 'done', failures: verdicts.flatMap((verdict) => (verdict.kind === 'bad' ? verdict.failure : [])) };
  }
  const { timeUpAfterMs } = facts;
  return { kind: 'done', failures: verdicts.flatMap((verdict, at) => late(verdict, facts, at, timeUpAfterMs)) };
}

/**
 * For `up --foreground`, which has nothing left to do once each of its tunnels has failed for good or was stopped.
 * @returns undefined while one of them goes on, the network's failures included; else why they failed, in the order given
 */
export function ended(order: readonly string[], tunnels: SettleFacts['tunnels']): readonly UpFailure[] | undefined {
  const states = order.map((name) => tunnels.get(name)?.state ?? 'stopped');
  if (states.some((state) => state !== 'failed' && state !== 'stopped')) return undefined;
  const failed = order.filter((_, at) => states[at] === 'failed');
  const verdicts = failed.map((name) =>
    judge(name, { order, tunnels, attended: false, timeUpAfterMs: null, goesOn: true }),
  );
  return verdicts.flatMap((verdict) => (verdict.kind === 'bad' ? verdict.failure : []));
}

/** What a tunnel's status means to somebody who waits for it to be up. */
function judge(name: string, { tunnels, attended, goesOn }: SettleFacts): Verdict {
  const tunnel = tunnels.get(name);
  if (tunnel === undefined) return bad(name, STOPPED_MEANWHILE);
  switch (tunnel.state) {
    case 'up':
    case 'idle':
      return { kind: tunnel.forwards.some(({ map }) => map?.state === 'asking') ? 'mapping' : 'good' };
    case 'stopping':
    case 'stopped':
      return bad(name, STOPPED_MEANWHILE);
    case 'failed':
      return bad(name, tunnel.lastError ?? forwardFault(tunnel)?.lastError ?? UNEXPLAINED);
    case 'waiting':
      return attended ? { kind: 'undecided' } : bad(name, needsPerson(tunnel));
    case 'connecting':
    case 'retrying':
      return judgeTrying(tunnel, goesOn);
  }
}

function judgeTrying(tunnel: TunnelStatus, goesOn: boolean): Verdict {
  const fault = forwardFault(tunnel)?.lastError;
  if (fault) return bad(tunnel.name, exitOf(fault.code) === 6 ? { ...fault, hint: keepsTrying(fault, goesOn) } : fault);
  if (tunnel.lastError === null) return { kind: 'undecided' };
  return { kind: 'trying', failure: failure(tunnel.name, tunnel.lastError) };
}

/** A forward that cannot be bound here (6), is refused there (8) or has failed: the others may serve, but this is no `up`. */
function forwardFault(tunnel: TunnelStatus): ForwardStatus | undefined {
  return tunnel.forwards.find(
    ({ state, lastError }) =>
      lastError !== null &&
      (state === 'failed' || (state !== 'up' && state !== 'idle' && [6, 8].includes(exitOf(lastError.code)))),
  );
}

type Fault = Pick<ErrorStatus, 'code' | 'message' | 'hint'>;

const STOPPED_MEANWHILE: Fault = { code: 'STOPPED', message: 'It was stopped meanwhile', hint: '' };
const UNEXPLAINED: Fault = { code: 'INTERNAL', message: 'It failed without saying why', hint: FAILURES.INTERNAL.hint };

function needsPerson(tunnel: TunnelStatus): Fault {
  const message = tunnel.lastError?.message ?? `Cannot log in to ${tunnel.via ?? 'the server'}: somebody has to answer`;
  return { code: 'NEEDS_PERSON', message, hint: `Run \`tunnel answer ${tunnel.name}\` on a terminal.` };
}

/** What is still open when time is up: 7, and the tunnel stays wanted. */
function late(verdict: Verdict, facts: SettleFacts, at: number, afterMs: number): readonly UpFailure[] {
  const tunnel = facts.order[at] ?? '';
  switch (verdict.kind) {
    case 'good':
    case 'mapping':
      return [];
    case 'bad':
      return [verdict.failure];
    case 'trying': {
      const { code, message, hint } = verdict.failure.facts;
      return [
        failure(tunnel, {
          code: exitOf(code) === 7 ? code : 'TIMED_OUT',
          message,
          hint: keepsTrying({ hint }, facts.goesOn),
        }),
      ];
    }
    case 'undecided': {
      const waiting = facts.tunnels.get(tunnel);
      if (waiting?.state === 'waiting') return [failure(tunnel, needsPerson(waiting))];
      const why =
        waiting?.nextRetryAt == null ? 'no answer yet' : 'its login waits its turn, a second after the one before';
      const message = `Cannot bring ${tunnel} up within ${spanText(afterMs)}: ${why}`;
      return [failure(tunnel, { code: 'TIMED_OUT', message, hint: keepsTrying({ hint: '' }, facts.goesOn) })];
    }
  }
}

function keepsTrying({ hint }: { readonly hint: string }, goesOn: boolean): string {
  if (!goesOn) return hint;
  return `${hint === '' ? '' : `${hint} `}The tunnel stays wanted: the supervisor goes on trying.`;
}

function bad(tunnel: string, fault: Fault): Verdict {
  return { kind: 'bad', failure: failure(tunnel, fault) };
}

function failure(tunnel: string, { code, message, hint }: Fault): UpFailure {
  return { tunnel, facts: { code, message, hint, exit: exitOf(code) } };
}

/** A supervisor newer than this command may know codes that it does not: those are "anything else". */
function exitOf(code: Fault['code']): number {
  return code in FAILURES ? FAILURES[code].exit : 1;
}
