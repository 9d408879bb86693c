import type { Clock } from '../model/clock.ts';
import type { TunnelError } from '../model/failure.ts';
import type { WantedTunnel } from '../model/memory.ts';
import type { Plan } from '../model/plan.ts';
import type { UpTunnel } from '../model/request.ts';
import type { StatusEvent, TunnelStatus } from '../model/status.ts';
import { BrokenTunnels } from './broken.ts';
import { samePlan } from './reconcile.ts';
import type { Wish } from './resolving.ts';
import type { Tunnel } from './tunnel.ts';
import { Turns } from './turns.ts';

export interface TunnelsParts {
  readonly clock: Clock;
  readonly make: (plan: Plan) => Tunnel;
  readonly emit: (event: StatusEvent) => void;
  /** What is wanted has changed. Never rejects. */
  readonly save: () => Promise<void>;
  /** The first tunnel came, or the last one went. */
  readonly onAny: (any: boolean) => void;
  /** Throws where nothing may be started any more. */
  readonly refuseClosed: () => void;
}

/** The tunnels of a supervisor, by name: what runs, what is wanted, and what is on its way down. One act on a name at a time. */
export class Tunnels {
  readonly #parts: TunnelsParts;
  readonly #running = new Map<string, Running>();
  readonly #broken: BrokenTunnels;
  readonly #turns = new Turns();

  constructor(parts: TunnelsParts) {
    this.#parts = parts;
    this.#broken = new BrokenTunnels(parts.clock, parts.emit);
  }

  get(name: string): Tunnel | undefined {
    return this.#running.get(name)?.tunnel;
  }

  /** Every tunnel that there is, those on their way down too. */
  get all(): readonly Tunnel[] {
    return [...this.#running.values()].map(({ tunnel }) => tunnel);
  }

  /** Names of all, those included whose profile cannot be read. */
  get names(): readonly string[] {
    return [...this.#running.keys(), ...this.#broken.names];
  }

  get rows(): readonly TunnelStatus[] {
    return [...this.all.map(({ status }) => status), ...this.#broken.rows];
  }

  wants(name: string): boolean {
    return this.#running.get(name)?.leaving === false || this.#broken.names.includes(name);
  }

  get wantedCount(): number {
    return this.names.filter((name) => this.wants(name)).length;
  }

  /** How its profile is found again; undefined for a program's own plan. */
  wanted(name: string): WantedTunnel | undefined {
    return this.#running.get(name)?.wanted ?? this.#broken.wanted(name);
  }

  /** What the next supervisor is to bring up. */
  get allWanted(): readonly WantedTunnel[] {
    const running = [...this.#running.values()].flatMap(({ wanted, leaving }) => (leaving ? [] : (wanted ?? [])));
    return [...running, ...this.#broken.all];
  }

  /** Shows a wanted tunnel as failed, as its profile cannot be read. */
  addBroken(wanted: WantedTunnel, error: TunnelError): void {
    this.#broken.add(wanted, error);
  }

  /** Starts it; where it runs, reloads it if it differs and tries it anew if it is not up. */
  start(wish: Wish): Promise<UpTunnel> {
    return this.#turns.take(wish.plan.name, () => this.#start(wish));
  }

  /** Does something to one that runs. @returns undefined where it was taken down meanwhile */
  change(wish: Wish, act: (tunnel: Tunnel, plan: Plan) => void): Promise<UpTunnel | undefined> {
    const { name } = wish.plan;
    return this.#turns.take(name, () => {
      if (this.#broken.names.includes(name)) return this.#start(wish);
      const tunnel = this.get(name);
      if (tunnel === undefined) return undefined;
      const before = tunnel.plan;
      act(tunnel, wish.plan);
      return { name, already: true, ...changed(before, wish.plan) };
    });
  }

  /** Withdraws the wish at once, and resolves when the tunnel is down. */
  takeDown(name: string, drainMs: number): Promise<void> {
    const before = this.#running.get(name);
    if (before?.leaving === true) void before.tunnel.stop(drainMs); // a second `down` may shorten the drain of the first
    return this.#turns.take(name, async () => {
      const running = this.#running.get(name);
      if (running === undefined && !this.#broken.forget(name)) return;
      if (running !== undefined) this.#running.set(name, { ...running, leaving: true });
      const saved = this.#parts.save();
      await running?.tunnel.stop(drainMs);
      if (this.#running.delete(name) && this.#running.size === 0) this.#parts.onAny(false);
      const at = new Date(this.#parts.clock.wallMs()).toISOString();
      this.#parts.emit({ event: 'removed', at, tunnel: name });
      await saved;
    });
  }

  #start({ plan, wanted }: Wish): UpTunnel {
    this.#parts.refuseClosed();
    const { name } = plan;
    const wasBroken = this.#broken.forget(name);
    const running = this.#running.get(name);
    if (running === undefined) {
      const tunnel = this.#parts.make(plan);
      this.#running.set(name, { tunnel, wanted, leaving: false });
      this.#parts.onAny(true);
      tunnel.start();
      return { name, already: wasBroken, reloaded: false, ...told(plan.warnings) };
    }
    const change = changed(running.tunnel.plan, plan);
    this.#running.set(name, { ...running, wanted });
    if (change.reloaded) running.tunnel.reload(plan);
    running.tunnel.retry();
    return { name, already: true, ...change };
  }
}

/** What a person is told once, and not again while it stays so. */
function changed(before: Plan, plan: Plan): Pick<UpTunnel, 'reloaded' | 'warnings'> {
  const fresh = plan.warnings.filter((warning) => !before.warnings.includes(warning));
  return { reloaded: !samePlan(before, plan), ...told(fresh) };
}

function told(warnings: readonly string[]): Pick<UpTunnel, 'warnings'> {
  return warnings.length === 0 ? {} : { warnings };
}

interface Running {
  readonly tunnel: Tunnel;
  readonly wanted: WantedTunnel | null;
  /** Taken down: not wanted any more, and gone once its connections are. */
  readonly leaving: boolean;
}
