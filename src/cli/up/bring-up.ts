import type { ControlClient } from '../../control/client.ts';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError, asTunnelError } from '../../model/failure.ts';
import type { TunnelStatus } from '../../model/status.ts';
import type { Context } from '../context.ts';
import { errorLines } from '../render/error.ts';
import { spanText } from '../render/duration.ts';
import { forwardLines } from '../render/state.ts';
import type { NoteTeller } from './note-teller.ts';
import { openFeed, type StatusFeed } from '../feed.ts';
import type { QuestionRelay } from '../relay.ts';
import { settle, type Settlement, type UpFailure } from './settle.ts';

export interface BringUp {
  readonly client: ControlClient;
  /** The tunnels to wait for, in the order that decides about the exit code. */
  readonly order: readonly string[];
  /** null: do not wait. */
  readonly waitMs: number | null;
  /** Puts questions to the person here; undefined where nobody can be asked. */
  readonly relay: QuestionRelay | undefined;
  /** Says meanwhile what is noted of the tunnels; undefined where nobody is there. It is closed here. */
  readonly notes?: NoteTeller | undefined;
  /** What does not come up is taken down again, and not tried any longer. */
  readonly atomic?: boolean;
}
export interface BroughtUp {
  readonly tunnels: readonly TunnelStatus[];
  readonly failures: readonly UpFailure[];
  /** What was said of them already. */
  readonly said?: ReadonlySet<string> | undefined;
}

/**
 * Waits until the tunnels have settled, or the time is up; says the first network error of each meanwhile.
 * Rejects with INTERRUPTED on Ctrl-C, and when the supervisor goes away.
 */
export async function bringUp(what: BringUp, context: Context): Promise<BroughtUp> {
  const feed = await openFeed(what.client, context.signal);
  const failures = what.waitMs === null ? [] : await settled(what, what.waitMs, feed, context);
  const tunnels = what.order.flatMap((name) => feed.tunnels.get(name) ?? []);
  what.notes?.close();
  return { tunnels, failures, said: what.notes?.said };
}

/** Prints what came of it, a line a forward and each failure beneath. @returns the exit code */
export function reportBroughtUp({ tunnels, failures, said }: BroughtUp, context: Context): number {
  const { out, json } = context;
  const [first] = failures;
  if (json) {
    if (first !== undefined) throw TunnelError.fromFacts(first.facts);
    out.json({ version: 1, tunnels });
    return 0;
  }
  for (const line of forwardLines(tunnels, out.theme)) out.data(line);
  for (const warning of tunnels.flatMap(({ link }) => link?.warnings ?? [])) {
    if (said?.has(warning) !== true) out.warn(out.talkTheme.warn(cleanLine(warning)));
  }
  for (const { tunnel, facts } of failures) {
    const message =
      failures.length > 1 || tunnels.length > 1 ? `${cleanLine(tunnel)}: ${facts.message}` : facts.message;
    for (const line of errorLines({ ...facts, message }, out.talkTheme)) out.warn(line);
  }
  return first?.facts.exit ?? 0;
}

function settled(what: BringUp, waitMs: number, feed: StatusFeed, context: Context): Promise<readonly UpFailure[]> {
  const { client, order, relay, atomic = false } = what;
  const said = new Set<string>();
  return new Promise((resolve, reject) => {
    const patience = new Patience(waitMs, () => look(waitMs));
    const stopListening = feed.onEvent(() => look(null));
    const interrupted = (): void => end(() => reject(asTunnelError(context.signal.reason)));
    const end = (finish: () => void): void => {
      patience.end();
      stopListening();
      context.signal.removeEventListener('abort', interrupted);
      finish();
    };
    const look = (timeUpAfterMs: number | null): void => {
      const settlement = settle({
        order,
        tunnels: feed.tunnels,
        attended: relay !== undefined,
        timeUpAfterMs,
        goesOn: !atomic,
      });
      if (settlement.kind === 'done') end(() => resolve(settlement.failures));
      else if (relay?.asking !== true) sayTroubles(settlement, said, waitMs, context);
    };
    relay?.onChange(() => (relay.asking ? patience.pause() : patience.resume()));
    if (relay?.asking === true) patience.pause();
    context.signal.addEventListener('abort', interrupted);
    void client.closed.then((why) => end(() => reject(why ?? new TunnelError('STOPPED', 'The line was closed'))));
    if (context.signal.aborted) interrupted();
    else look(null);
  });
}

type Pending = Extract<Settlement, { kind: 'pending' }>;

function sayTroubles({ troubles }: Pending, said: Set<string>, waitMs: number, { out }: Context): void {
  for (const { tunnel, facts } of troubles) {
    if (said.has(tunnel)) continue;
    said.add(tunnel);
    out.say(`${cleanLine(tunnel)}: ${cleanLine(facts.message)}; trying for ${spanText(waitMs)}`);
  }
}

/** A deadline that stands still while a person is asked. */
class Patience {
  readonly #lapsed: () => void;
  #leftMs: number;
  #runningSinceMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(ms: number, lapsed: () => void) {
    this.#leftMs = ms;
    this.#lapsed = lapsed;
    this.resume();
  }

  pause(): void {
    if (this.#timer === undefined) return;
    this.#stop();
    this.#leftMs -= performance.now() - this.#runningSinceMs;
  }

  resume(): void {
    if (this.#timer !== undefined || this.#over) return;
    this.#runningSinceMs = performance.now();
    this.#timer = setTimeout(this.#lapsed, Math.max(0, this.#leftMs));
  }

  /** For good: nothing resumes it. */
  end(): void {
    this.#over = true;
    this.#stop();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
