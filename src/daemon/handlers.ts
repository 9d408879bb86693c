import type { ControlHandlers, Peer } from '../control/connection.ts';
import type { UpTunnel } from '../model/request.ts';
import type { Attendant } from '../supervisor/questions.ts';
import type { TunnelSupervisor } from '../supervisor/supervisor.ts';
import type { Gate } from './gate.ts';

export interface HandlerNeeds {
  readonly supervisor: TunnelSupervisor;
  /** Resolves once what was wanted is running again: before that no answer would be the truth. */
  readonly restored: Promise<void>;
  /** Resolves once all is loaded: whoever has an answer may replace the files of this supervisor, as an update does. */
  readonly loaded: Promise<void>;
  /** Shut while another supervisor takes over: what it is to run must not change then. */
  readonly gate: Gate;
  readonly handOver: ControlHandlers['handOver'];
  /** Begins to end this supervisor. */
  readonly stop: () => void;
}

/** What each request of a client does. A client that hangs up is asked no more, and its events end. */
export function controlHandlers({ supervisor, restored, loaded, gate, handOver, stop }: HandlerNeeds): ControlHandlers {
  const people = new People(supervisor);
  const ready = Promise.all([restored, loaded]);
  ready.catch(() => undefined); // each request that waits for it is told
  const change = <T>(work: () => T | Promise<T>): Promise<T> =>
    gate.enter(async () => {
      await restored;
      const done = await work(); // what is to be done is begun meanwhile
      await loaded;
      return done;
    });
  const attended = (peer: Peer, attend: boolean, act: (person?: Attendant) => Promise<readonly UpTunnel[]>) =>
    change(async () => ({ tunnels: await (attend ? people.attending(peer, act) : act()) }));
  return {
    up: ({ select, caller, attend }, peer) => attended(peer, attend, (person) => supervisor.up(select, caller, person)),
    restart: ({ select, caller, attend }, peer) =>
      attended(peer, attend, (person) => supervisor.restart(select, caller, person)),
    reload: ({ select, caller }) => change(async () => ({ tunnels: await supervisor.reload(select, caller) })),
    down: ({ select, drainMs, caller }) =>
      change(async () => ({ tunnels: await supervisor.down(select, drainMs, caller) })),
    status: async () => {
      await ready;
      return supervisor.snapshot();
    },
    subscribe: async ({ connections = true }, peer) => {
      await ready;
      people.hearsAll(peer);
      const unsubscribe = supervisor.subscribe((event) => {
        if (connections || event.event !== 'connection') peer.notify('event', event);
      });
      onEnd(peer, unsubscribe);
      return supervisor.snapshot(); // in the same turn: no event is lost between
    },
    attend: async ({ names, caller }, peer) => {
      await ready;
      return people.attending(peer, (person) => ({ waiting: supervisor.attend(names, person, caller).waiting }));
    },
    answer: ({ id, answer }, peer) => ({ accepted: supervisor.questions.answer(id, answer, people.of(peer)) }),
    decline: ({ id }, peer) => ({ accepted: supervisor.questions.decline(id, people.of(peer)) }),
    handOver,
    stop: () => {
      setImmediate(stop); // the answer goes out first
      return {};
    },
  };
}

/** The person at each connection, as the supervisor's questions know them. */
class People {
  readonly #supervisor: TunnelSupervisor;
  readonly #byPeer = new WeakMap<Peer, Attendant>();
  /** How to end the notes of each, whether it has ended or not. */
  readonly #notes = new WeakMap<Peer, () => void>();

  constructor(supervisor: TunnelSupervisor) {
    this.#supervisor = supervisor;
  }

  of(peer: Peer): Attendant {
    const known = this.#byPeer.get(peer);
    if (known !== undefined) return known;
    const person: Attendant = {
      ask: (question) => peer.notify('question', question),
      withdrawn: (id) => peer.notify('withdrawn', { id }),
    };
    this.#byPeer.set(peer, person);
    onEnd(peer, () => this.#supervisor.questions.detach(person));
    return person;
  }

  /** Runs what makes this person attend; one who hung up meanwhile attends nothing afterwards. */
  async attending<T>(peer: Peer, run: (person: Attendant) => T | Promise<T>): Promise<T> {
    const person = this.of(peer);
    this.#tellNotes(peer);
    try {
      return await run(person);
    } finally {
      if (peer.signal.aborted) this.#supervisor.questions.detach(person);
    }
  }

  /** It has subscribed to every event, notes among them. */
  hearsAll(peer: Peer): void {
    this.#notes.get(peer)?.();
    this.#notes.set(peer, () => undefined);
  }

  /** Whoever attends hears what a server says from its first word, which comes before anybody could subscribe. */
  #tellNotes(peer: Peer): void {
    if (this.#notes.has(peer)) return;
    const stop = this.#supervisor.subscribe((event) => {
      if (event.event === 'note') peer.notify('event', event);
    });
    this.#notes.set(peer, stop);
    onEnd(peer, stop);
  }
}

function onEnd(peer: Peer, action: () => void): void {
  if (peer.signal.aborted) action();
  else peer.signal.addEventListener('abort', action, { once: true });
}
