import type { Carrier } from '../link/carrier.ts';
import type { Clock } from '../model/clock.ts';
import type { DemandPlan } from '../model/plan.ts';
import { decide } from './demand.ts';
import type { DemandFacts } from './forward-context.ts';

export interface LinkNeedParts {
  readonly carrier: Pick<Carrier, 'need'>;
  readonly clock: Clock;
  /** It was opened, or its countdown began or ended. Not called when it closes. */
  readonly onChange: () => void;
  /** It closes now; the link is given up when this returns. After `lifetime` its connections are to be cut. */
  readonly onClose: (why: 'idle' | 'lifetime') => void;
}

/** A forward's need of the link: for as long as it listens, or on demand, from the first client until it is idle. */
export class LinkNeed {
  readonly #rules: DemandPlan | null;
  readonly #parts: LinkNeedParts;
  #release: (() => void) | undefined;
  #openedMs: number | null = null;
  #lastUseMs = 0;
  /** Those who came since it was opened: a lifetime that ends forgets them all. */
  #users = new Set<object>();
  #idleUntilMs: number | null = null;
  #cancelLook: () => void = () => undefined;

  /** @param rules null where the link is needed without anybody's use */
  constructor(rules: DemandPlan | null, parts: LinkNeedParts) {
    this.#rules = rules;
    this.#parts = parts;
  }

  /** Whether the link is needed now. */
  get open(): boolean {
    return this.#release !== undefined;
  }

  /** undefined where nothing here is on demand. */
  get facts(): DemandFacts | undefined {
    if (this.#rules === null) return undefined;
    const { clock } = this.#parts;
    const leftMs = this.#idleUntilMs === null ? null : this.#idleUntilMs - clock.nowMs();
    return { open: this.open, closesAtMs: leftMs === null ? null : Math.round(clock.wallMs() + leftMs) };
  }

  /** The forward listens now. */
  begin(): void {
    if (this.#rules === null) this.#release ??= this.#parts.carrier.need();
  }

  /** A client has come, and is to be served. @returns to be called when it has gone */
  enter(): () => void {
    if (this.#rules === null) return () => undefined;
    const user = {};
    this.#users.add(user);
    this.#look(this.#rules);
    return () => this.#rules !== null && this.#left(user, this.#rules);
  }

  /** The forward is closed, and its last client has gone. Safe to call twice. */
  end(): void {
    this.#cancelLook();
    this.#users.clear();
    this.#openedMs = null;
    this.#idleUntilMs = null;
    this.#release?.();
    this.#release = undefined;
  }

  #left(user: object, rules: DemandPlan): void {
    if (!this.#users.delete(user)) return;
    this.#lastUseMs = this.#parts.clock.nowMs();
    this.#look(rules);
  }

  #look(rules: DemandPlan): void {
    const { clock } = this.#parts;
    this.#cancelLook();
    const nowMs = clock.nowMs();
    const state = { nowMs, openedMs: this.#openedMs, users: this.#users.size, lastUseMs: this.#lastUseMs };
    const decision = decide(state, rules);
    switch (decision.name) {
      case 'open':
        this.#openedMs = nowMs;
        this.#release = this.#parts.carrier.need();
        this.#look(rules);
        return this.#parts.onChange();
      case 'keep': {
        const changed = decision.idleUntilMs !== this.#idleUntilMs;
        this.#idleUntilMs = decision.idleUntilMs;
        if (decision.untilMs !== null)
          this.#cancelLook = clock.after(decision.untilMs - nowMs, () => this.#look(rules));
        if (changed) this.#parts.onChange();
        return;
      }
      case 'close':
        return this.#close(decision.why);
    }
  }

  /** The link goes last: what is still in use on it would keep it. */
  #close(why: 'idle' | 'lifetime'): void {
    const release = this.#release;
    this.#release = undefined;
    this.end();
    this.#parts.onClose(why);
    release?.();
  }
}
