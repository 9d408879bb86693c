import { refuses } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { Chance } from './chance.ts';
import { FAULTS, type Fault } from './faults.ts';
import { laboratory, type Laboratory } from './laboratory.ts';
import { processFacts, type ProcessFacts } from './process-facts.ts';
import { CALM_MS, leftoversOf, promisesBroken, type Facts, type Span } from './promises.ts';
import { Traffic, type Visit } from './traffic.ts';
import { Watcher } from './watcher.ts';

/** What one run of faults showed. `broken` is empty where every promise held. */
export interface Findings {
  readonly seed: number;
  readonly faults: readonly string[];
  readonly visits: { readonly whole: number; readonly cut: number; readonly refused: number };
  readonly logins: number;
  readonly calmAfterMs: number;
  readonly before: ProcessFacts;
  readonly after: ProcessFacts;
  readonly broken: readonly string[];
}

/** A fault that has struck and is not mended yet. */
interface Standing {
  readonly fault: Fault;
  readonly fromMs: number;
  /** When the strike was over. */
  readonly struckMs: number;
  readonly mend: (() => Promise<void>) | undefined;
  readonly portIsBack: (() => void) | undefined;
}

/** How often a second fault strikes while the first one stands. */
const TWO_AT_ONCE = 0.35;

/** Draws faults from the seed while clients come and go, mends the last one, and checks what was promised. */
export async function runSchedule(
  seed: number,
  faultCount: number,
  onFault: (name: string) => void,
): Promise<Findings> {
  await using lab = await laboratory();
  const before = await processFacts((await lab.supervisor()).pid);
  const run = new Run(lab, new Chance(seed), onFault);
  const traffic = new Traffic(lab.port, seed);
  traffic.start(60);
  while (run.names.length < faultCount) await run.strike();
  const calmAfterMs = await lab.calm(CALM_MS * 3);
  await traffic.stop();
  await run.watcher.stop();
  const after = await settled(lab, before);
  const facts: Facts = {
    ...{ visits: traffic.visits, unbound: run.unbound, severed: run.severed, slowed: run.slowed, calmAfterMs },
    ...{ before, after, killedAtMs: run.killedAtMs },
    ...{ samples: run.watcher.samples, probes: run.watcher.probes, stolenAtMs: run.watcher.stolenAtMs },
    connectedAtMs: lab.path.joinedAtMs,
    records: await lab.records(),
    loggedInAtMs: lab.sshd.timesOf(/^Accepted \S+ for /),
    faults: faultCount,
  };
  const count = (end: Visit['end']): number => traffic.visits.filter((visit) => visit.end === end).length;
  return {
    ...{ seed, faults: run.names, logins: lab.sshd.logins, calmAfterMs, before, after },
    visits: { whole: count('whole'), cut: count('cut'), refused: count('refused') },
    broken: promisesBroken(facts),
  };
}

/** One run: strikes and mends, and writes down when what could not work. */
class Run {
  readonly names: string[] = [];
  readonly unbound: Span[] = [];
  readonly slowed: Span[] = [];
  readonly killedAtMs: number[] = [];
  readonly severed: (Span & { readonly slept: boolean })[] = [];
  readonly watcher: Watcher;
  readonly #lab: Laboratory;
  readonly #chance: Chance;
  readonly #onFault: (name: string) => void;

  constructor(lab: Laboratory, chance: Chance, onFault: (name: string) => void) {
    this.#lab = lab;
    this.#chance = chance;
    this.#onFault = onFault;
    this.watcher = new Watcher(lab);
  }

  /** One fault, or two at once, from the strike to the mend, and a while of peace. */
  async strike(): Promise<void> {
    const first = await this.#begin(this.#chance.pick(FAULTS));
    await passing(this.#chance.between(100, 2_500));
    if (this.#chance.next() < TWO_AT_ONCE) {
      const others = FAULTS.filter(({ layer }) => layer !== first.fault.layer);
      const second = await this.#begin(this.#chance.pick(others));
      await passing(this.#chance.between(100, 2_500));
      await this.#end(second, [first, second]);
    }
    await this.#end(first, [first]);
    await passing(this.#chance.between(0, 2_000));
  }

  async #begin(fault: Fault): Promise<Standing> {
    this.names.push(fault.name);
    this.#onFault(`${Math.round(performance.now())} ${fault.name}`);
    const portIsBack = fault.unbinds === true ? this.watcher.giveUpPort() : undefined;
    const fromMs = performance.now();
    if (fault.kills === true) this.killedAtMs.push(fromMs);
    const mend = await fault.strike(this.#lab, this.#chance);
    return { fault, fromMs, struckMs: performance.now(), mend, portIsBack };
  }

  async #end({ fault, fromMs, struckMs, mend, portIsBack }: Standing, standing: readonly Standing[]): Promise<void> {
    const slept = standing.some((one) => one.fault.layer === 'supervisor');
    // The strike may take its time; nothing was severed for sure before it had ended.
    if (fault.severs === true)
      this.severed.push({ fromMs: Math.max(fromMs + 500, struckMs), toMs: performance.now(), slept });
    await mend?.();
    if (fault.slows === true) this.slowed.push({ fromMs, toMs: performance.now() });
    if (fault.unbinds !== true) return;
    await eventually(async () => !(await refuses(this.#lab.port)), { withinMs: CALM_MS, what: 'the port' });
    this.unbound.push({ fromMs, toMs: performance.now() });
    portIsBack?.();
  }
}

/** What the supervisor holds once it has had time to let go; the last look where it does not. */
async function settled(lab: Laboratory, before: ProcessFacts): Promise<ProcessFacts> {
  const { pid } = await lab.supervisor();
  let last = await processFacts(pid);
  for (let look = 0; look < 4 && leftoversOf({ before, after: last }).length > 0; look += 1) {
    last = await processFacts(pid);
  }
  return last;
}

/** Time that passes on purpose: a fault lasts. */
function passing(forMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, forMs));
}
