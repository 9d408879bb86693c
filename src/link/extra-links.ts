import { TunnelError } from '../model/failure.ts';
import type { Plan } from '../model/plan.ts';
import type { Ask } from './ask.ts';
import type { Connection } from './connection.ts';
import type { CarrierDeps } from './carrier-deps.ts';
import { SshLink } from './ssh-link.ts';

/** An extra connection on which nothing was open for so long is closed: a page's requests come in bursts. */
export const EXTRA_IDLE_MS = 60_000;

/** Of `auto`. sshd looks at each channel at each event, which begins to tell at some hundred of them on one connection. */
const AUTO = { most: 4, channelsEach: 128 };

interface Extra {
  readonly link: SshLink;
  /** Once it has become the carrier's first link it may ask a person, as that one may. */
  first: boolean;
  /** The connection whose end of use is waited for. */
  watched: Connection | null;
  cancelIdle: () => void;
}

/** What the carrier does for its extra links. */
export interface ExtraLinksWatch {
  /** Any of them has changed: `follow` is to be called, as for every link. */
  readonly changed: (link: SshLink) => void;
  /** Nothing is in use any more on one of them. */
  readonly quiet: () => void;
  /** This one is no longer among them, and is to be ended. */
  readonly end: (link: SshLink) => void;
}

/**
 * Further SSH connections to the same server, beside a carrier's first one, over which its channels are spread. One more is
 * dialled when a channel is opened while every one that is up carries its share; nobody waits for it. They never ask a
 * person: a login that needs one, or is refused, is not tried again until the carrier renews its links. Listeners on the
 * server stay on the first link. Whoever made this ends it with `leave`.
 */
export class ExtraLinks {
  readonly #plan: Plan;
  readonly #deps: CarrierDeps;
  readonly #watch: ExtraLinksWatch;
  readonly #extras = new Map<SshLink, Extra>();
  readonly #most: number;
  readonly #channelsEach: number;
  #notBeforeMs = 0;

  constructor(plan: Plan, deps: CarrierDeps, watch: ExtraLinksWatch) {
    const { connections } = plan;
    this.#plan = plan;
    this.#deps = deps;
    this.#watch = watch;
    this.#most = (connections === 'auto' ? AUTO.most : connections) - 1;
    this.#channelsEach = connections === 'auto' ? AUTO.channelsEach : 1;
  }

  /** Those that are up, the oldest first. */
  get up(): readonly SshLink[] {
    return [...this.#extras.keys()].filter(({ connection }) => connection !== null);
  }

  get busy(): boolean {
    return this.up.some(({ connection }) => connection?.busy === true);
  }

  /** Whether this connection is one of them, and up. */
  carries(connection: Connection): boolean {
    return this.up.some((link) => link.connection === connection);
  }

  /** Where the next channel belongs: on the one with the fewest, the first where they are equal. @param not never this one */
  pick(first: Connection, not: Connection | null): Connection {
    const others = this.up.flatMap(({ connection }) => (connection === null || connection === not ? [] : connection));
    const all = first === not ? others : [first, ...others];
    const best = all.reduce((a, b) => (b.channels < a.channels ? b : a), all[0] ?? first);
    if (best.channels >= this.#channelsEach) this.#dial();
    return best;
  }

  /** Has the connection prove that it lives, where it is one of these. */
  suspect(connection: Connection): void {
    this.up.find((link) => link.connection === connection)?.suspect();
  }

  wake(): void {
    for (const link of this.#extras.keys()) link.wake();
  }

  /** Hands over one that is up, to be the first link from now on; undefined where there is none. */
  promote(): SshLink | undefined {
    const [link] = this.up;
    const extra = link === undefined ? undefined : this.#forget(link);
    if (extra !== undefined) extra.first = true;
    return link;
  }

  /** Hands over all of them, for whoever lets them end. */
  leave(): readonly SshLink[] {
    const links = [...this.#extras.keys()];
    for (const link of links) this.#forget(link);
    return links;
  }

  /** A person asks for another try of everything: of a login that failed too. */
  retry(): void {
    this.#notBeforeMs = 0;
  }

  /** To be called after each change of any link. */
  follow(link: SshLink): void {
    const extra = this.#extras.get(link);
    if (extra === undefined) return;
    const { state, connection } = link;
    if (connection !== null) this.#waitForQuiet(extra, connection);
    if (state.name !== 'backoff' && state.name !== 'failed' && state.name !== 'waiting') return;
    const forGood = state.name !== 'backoff';
    this.#notBeforeMs = forGood ? Infinity : this.#deps.clock.nowMs() + this.#plan.reconnect.maxMs;
    if (forGood) this.#deps.onNote(`Goes on with fewer connections: ${state.reason.message}`, 'warn');
    this.#end(link);
  }

  #dial(): void {
    const dialling = this.#extras.size > this.up.length;
    if (dialling || this.#extras.size >= this.#most || this.#deps.clock.nowMs() < this.#notBeforeMs) return;
    const ask: Ask = (question, signal) => (extra.first ? this.#deps.ask(question, signal) : Promise.reject(NOBODY));
    const link: SshLink = new SshLink(this.#plan, { ...this.#deps, ask }, () => this.#watch.changed(link));
    const extra: Extra = { link, first: false, watched: null, cancelIdle: () => undefined };
    this.#extras.set(link, extra);
    link.start();
  }

  #waitForQuiet(extra: Extra, connection: Connection): void {
    if (extra.watched === connection) return;
    extra.watched = connection;
    connection.onQuiet(() => {
      if (!this.#extras.has(extra.link)) return;
      this.#armIdle(extra, connection);
      this.#watch.quiet();
    });
    if (!connection.busy) this.#armIdle(extra, connection);
  }

  #armIdle(extra: Extra, connection: Connection): void {
    extra.cancelIdle();
    extra.cancelIdle = this.#deps.clock.after(EXTRA_IDLE_MS, () => {
      if (!connection.busy) this.#end(extra.link); // else the next quiet moment arms it anew
    });
  }

  #end(link: SshLink): void {
    this.#forget(link);
    this.#watch.end(link);
  }

  #forget(link: SshLink): Extra | undefined {
    const extra = this.#extras.get(link);
    extra?.cancelIdle();
    this.#extras.delete(link);
    return extra;
  }
}

const NOBODY = new TunnelError('NEEDS_PERSON', 'Cannot log in once more: a further connection asks nobody');
