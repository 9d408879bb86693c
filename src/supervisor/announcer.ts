import type { Clock } from '../model/clock.ts';
import { asTunnelError, type TunnelError } from '../model/failure.ts';
import type { Plan } from '../model/plan.ts';
import type { StatusEvent, TunnelState, TunnelStatus } from '../model/status.ts';
import { Hooks, type HookName } from './hooks.ts';
import { changeKey, figuresKey } from './tunnel-status.ts';

/** What comes with each connection is looked at this often at most: a look costs more the more connections are open. */
const STIRS_EVERY_MS = 20;
/** A tunnel with a thousand connections a second would else send as many events, each for a figure more. */
const FIGURES_EVERY_MS = 250;

export interface AnnouncerParts {
  readonly hooks: () => Plan['hooks'];
  /** Draws the consequences of what changed, and says how things are now. */
  readonly look: () => TunnelStatus;
  readonly emit: (event: StatusEvent) => void;
  readonly note: (level: 'info' | 'warn', message: string) => void;
}

/** Turns "something changed" into events and hooks: one for each status that differs, never one for nothing. */
export class Announcer {
  readonly #clock: Clock;
  readonly #parts: AnnouncerParts;
  readonly #hooks: Hooks;
  readonly #firstSeenMs = new WeakMap<TunnelError, number>();
  #scheduled = false;
  #cancelFigures: (() => void) | undefined;
  #cancelStir: (() => void) | undefined;
  #lookedAtMs = -Infinity;
  #ended = false;
  #told = { change: '', figures: '' };
  #toldState: TunnelState = 'stopped';
  #state: TunnelState = 'stopped';
  #sinceMs: number;

  constructor(clock: Clock, parts: AnnouncerParts) {
    this.#clock = clock;
    this.#parts = parts;
    this.#hooks = new Hooks(clock, parts.note);
    this.#sinceMs = clock.wallMs();
  }

  get hooksIdle(): Promise<void> {
    return this.#hooks.idle;
  }

  /** Looks once, at the end of this turn, however often it is called in it. */
  changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      if (!this.#scheduled) return;
      try {
        this.flush();
      } catch (error) {
        this.#parts.note('warn', `Cannot read the status: ${asTunnelError(error).message}`); // a part's own fault
      }
    });
  }

  /** As `changed`, for what happens with each connection: the first counts at once, a crowd of them together. */
  stirred(): void {
    if (this.#ended || this.#scheduled || this.#cancelStir !== undefined) return;
    const waitMs = this.#lookedAtMs + STIRS_EVERY_MS - this.#clock.nowMs();
    if (waitMs <= 0) return this.changed();
    this.#cancelStir = this.#clock.after(waitMs, () => {
      this.#cancelStir = undefined;
      this.changed();
    });
  }

  /** Looks now. */
  flush(): void {
    if (this.#ended) return;
    this.#scheduled = false;
    this.#cancelStir?.();
    this.#cancelStir = undefined;
    this.#lookedAtMs = this.#clock.nowMs();
    const status = this.#parts.look();
    if (changeKey(status) !== this.#told.change) this.#tell(status);
    else if (figuresKey(status) !== this.#told.figures) this.#tellSoon();
  }

  /** Looks a last time; what happens later is nobody's business. */
  end(): void {
    this.flush();
    this.#ended = true;
  }

  /** Ends without a last look: what becomes of the tunnel is another's to tell. */
  silence(): void {
    this.#ended = true;
    this.#cancelFigures?.();
    this.#cancelStir?.();
  }

  /** Adds since when the state is what it is: remembered here, as a state alone cannot know it. */
  dated(status: Omit<TunnelStatus, 'since'>): TunnelStatus {
    if (status.state !== this.#state) {
      this.#state = status.state;
      this.#sinceMs = this.#clock.wallMs();
    }
    const { name, state, ...rest } = status;
    return { name, state, since: new Date(this.#sinceMs).toISOString(), ...rest };
  }

  firstSeenMs(error: TunnelError): number {
    const seenMs = this.#firstSeenMs.get(error) ?? this.#clock.wallMs();
    this.#firstSeenMs.set(error, seenMs);
    return seenMs;
  }

  #tell(status: TunnelStatus): void {
    this.#cancelFigures?.();
    this.#cancelFigures = undefined;
    this.#told = { change: changeKey(status), figures: figuresKey(status) };
    const before = this.#toldState;
    this.#toldState = status.state;
    const at = new Date(this.#clock.wallMs()).toISOString();
    this.#parts.emit({ event: 'tunnel', at, tunnel: status.name, status });
    for (const hook of hooksOf(before, status.state)) this.#hooks.run(hook, this.#parts.hooks()[hook], status);
  }

  #tellSoon(): void {
    this.#cancelFigures ??= this.#clock.after(FIGURES_EVERY_MS, () => {
      this.#cancelFigures = undefined;
      this.#tell(this.#parts.look());
    });
  }
}

/** Hooks mark edges: leaving `up`, reaching it, beginning to wait for a person. */
function hooksOf(before: TunnelState, now: TunnelState): readonly HookName[] {
  if (before === now) return [];
  const down: readonly HookName[] = before === 'up' ? ['down'] : [];
  return now === 'up' || now === 'waiting' ? [...down, now] : down;
}
