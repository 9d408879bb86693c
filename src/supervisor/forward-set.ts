import type { Forward, ForwardContext, ForwardFacts, ForwardSettings } from '../forward/forward-context.ts';
import { asTunnelError, type TunnelError } from '../model/failure.ts';
import type { ForwardPlan } from '../model/plan.ts';
import type { SupervisorDeps } from './deps.ts';
import { reconcile } from './reconcile.ts';
import { needsLink, type ForwardLiveness } from './state.ts';
import { absentForward } from './tunnel-status.ts';

export interface ForwardSetParts {
  readonly deps: Pick<SupervisorDeps, 'makeForward' | 'sameForward'>;
  readonly contextOf: (plan: ForwardPlan) => ForwardContext;
  /** Something was thrown that should not have been: a fault of ours, which harms its own forward only. */
  readonly onFault: (error: TunnelError) => void;
}

/** A forward now: what it says of itself, and what its tunnel's state is made from. */
export interface ForwardView {
  readonly facts: ForwardFacts;
  readonly liveness: ForwardLiveness;
  /** Remembers that it was up. */
  readonly wasUp: () => void;
}

/** Connections of a listener that a reload took away end by themselves, or with the tunnel: the longest time a timer takes. */
const UNTIL_THEY_END_MS = 2 ** 31 - 1;

/** The forwards of one tunnel, by name, in the order of its plan. Nothing here throws or rejects. */
export class ForwardSet {
  readonly #parts: ForwardSetParts;
  readonly #slots = new Map<string, Slot>();
  /** Forwards that a reload took away, while their connections last. */
  readonly #leaving = new Set<Forward>();

  constructor(parts: ForwardSetParts) {
    this.#parts = parts;
  }

  /** Makes a forward and has it bind. */
  add(plan: ForwardPlan): void {
    const slot: Slot = { plan, forward: undefined, fault: null, wasUp: false, tried: Promise.resolve() };
    this.#slots.set(plan.name, slot);
    const failed = (error: unknown): void => {
      slot.fault = asTunnelError(error);
      this.#parts.onFault(slot.fault);
    };
    try {
      slot.forward = this.#parts.deps.makeForward(plan, this.#parts.contextOf(plan));
      slot.tried = slot.forward.start().catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Goes over to these plans: one that is there already stays, with its connections, and takes the new settings. */
  replace(plans: readonly ForwardPlan[], settings: ForwardSettings): void {
    const running = new Map([...this.#slots].map(([name, slot]) => [name, slot.plan]));
    const wanted = new Map(plans.map((plan) => [plan.name, plan]));
    const { stop, keep, change } = reconcile(running, wanted, (one, other) => {
      return this.#slots.get(one.name)?.fault === null && this.#parts.deps.sameForward(one, other);
    });
    for (const name of [...stop, ...change]) this.#leave(name); // all of them first: a new one may want an old one's port
    const kept = new Map(keep.map((name) => [name, this.#slots.get(name)]));
    this.#slots.clear();
    for (const plan of plans) {
      const slot = kept.get(plan.name);
      if (slot === undefined) {
        this.add(plan);
        continue;
      }
      this.#slots.set(plan.name, slot);
      this.#guard(() => slot.forward?.update(settings));
    }
  }

  linkChanged(): void {
    for (const { forward } of this.#slots.values()) this.#guard(() => forward?.linkChanged());
  }

  networkChanged(): void {
    for (const { forward } of this.#slots.values()) this.#guard(() => forward?.networkChanged?.());
  }

  get views(): readonly ForwardView[] {
    return [...this.#slots.values()].map((slot) => {
      const facts = slot.forward?.facts ?? absentForward(slot.plan, slot.fault);
      const listening = facts.listening && slot.fault === null;
      return {
        facts,
        liveness: {
          listening,
          error: slot.fault ?? facts.error,
          final: facts.final === true,
          wasUp: slot.wasUp,
          idle: facts.demand?.open === false,
          linkless: !needsLink(slot.plan),
        },
        wasUp: () => void (slot.wasUp = true),
      };
    });
  }

  /** Open connections of forwards that a reload took away. */
  get leavingConnections(): number {
    return [...this.#leaving].reduce((sum, { facts }) => sum + facts.openConnections, 0);
  }

  /** Forgets all, once they are closed. */
  clear(): void {
    this.#slots.clear();
  }

  /** Resolves once each has made its first attempt to bind. */
  get tried(): Promise<void> {
    return Promise.all([...this.#slots.values()].map(({ tried }) => tried)).then(() => undefined);
  }

  /** Resolves when all are closed, those that a reload took away too. `held`: as `Forward.close` has it. */
  async close(drainMs: number, held: 'cut' | 'serve'): Promise<void> {
    const forwards = [...this.#leaving, ...[...this.#slots.values()].flatMap(({ forward }) => forward ?? [])];
    await Promise.all(forwards.map((forward) => this.#close(forward, drainMs, held)));
  }

  #leave(name: string): void {
    const forward = this.#slots.get(name)?.forward;
    if (forward === undefined) return;
    this.#leaving.add(forward);
    void this.#close(forward, UNTIL_THEY_END_MS, 'cut').then(() => this.#leaving.delete(forward));
  }

  /** Never rejects: the others are closed all the same. */
  async #close(forward: Forward, drainMs: number, held: 'cut' | 'serve'): Promise<void> {
    try {
      await forward.close(drainMs, held);
    } catch (error) {
      this.#parts.onFault(asTunnelError(error));
    }
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#parts.onFault(asTunnelError(error));
    }
  }
}

interface Slot {
  readonly plan: ForwardPlan;
  forward: Forward | undefined;
  /** What its making or its start threw, beside the errors that it reports itself. */
  fault: TunnelError | null;
  wasUp: boolean;
  /** Settles after its first attempt to bind. Never rejects. */
  tried: Promise<void>;
}
