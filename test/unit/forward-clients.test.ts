import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClientTurns, type Turn } from '../../src/forward/clients/client-turns.ts';

const A = '10.0.0.1';
const B = '10.0.0.2';
const C = '10.0.0.3';

/** Asks, and tells in words what came of it; `here` is who uses the listener, `cuts` who was replaced. */
class Door {
  readonly turns: ClientTurns;
  readonly here = new Set<string>();
  readonly cuts: string[] = [];
  readonly #turns = new Map<string, Turn>();

  constructor(rule: ConstructorParameters<typeof ClientTurns>[0]) {
    this.turns = new ClientTurns(rule);
  }

  /** @param place `10.0.0.1/web`: one connection of that address */
  async ask(place: string, most = 2): Promise<string> {
    const [address = ''] = place.split('/');
    const turn = this.turns.ask(address, most, (why) => {
      this.cuts.push(`${place}: ${why}`);
      this.here.delete(place);
    });
    if (typeof turn === 'string') return turn;
    this.#turns.set(place, turn);
    if (turn.come === null) this.here.add(place);
    else void turn.come.then(() => this.here.add(place));
    await Promise.resolve();
    return turn.come === null ? 'in' : 'waits';
  }

  async leave(place: string): Promise<void> {
    this.here.delete(place);
    this.#turns.get(place)?.leave();
    this.#turns.get(place)?.leave();
    await Promise.resolve();
  }
}

describe('clients of a listener', () => {
  test('many: all at once', async () => {
    const door = new Door('many');
    expect([await door.ask(A), await door.ask(B), await door.ask(C)]).toEqual(['in', 'in', 'in']);
  });

  test('exclusive: one address with all its connections; a second is refused until the first has gone', async () => {
    const door = new Door('exclusive');
    expect([await door.ask(`${A}/1`), await door.ask(`${A}/2`)]).toEqual(['in', 'in']);
    expect(await door.ask(B)).toBe(`${A} uses it, and only one may at a time (clients: exclusive)`);
    await door.leave(`${A}/1`);
    expect(await door.ask(B)).toContain('only one');
    await door.leave(`${A}/2`);
    expect(await door.ask(B)).toBe('in');
    expect(await door.ask(A)).toContain(B);
  });

  test('this machine is one client in both families', async () => {
    const door = new Door('exclusive');
    expect([await door.ask('127.0.0.1'), await door.ask('::1'), await door.ask('127.0.0.2')]).toEqual([
      'in',
      'in',
      expect.stringContaining('only one'),
    ]);
  });

  test('takeover: the second replaces the first, whose late leaving harms nobody', async () => {
    const door = new Door('takeover');
    await door.ask(`${A}/1`);
    await door.ask(`${A}/2`);

    expect(await door.ask(`${B}/1`)).toBe('in');

    const why = `${B} has taken over (clients: takeover)`;
    expect(door.cuts).toEqual([`${A}/1: ${why}`, `${A}/2: ${why}`]);
    await door.leave(`${A}/1`);
    await door.leave(`${A}/2`);
    expect(await door.ask(`${A}/3`)).toBe('in');
    expect(door.cuts.at(-1)).toBe(`${B}/1: ${A} has taken over (clients: takeover)`);
  });

  test('queue: in the order of the addresses, each with all that it has waiting, so many at most', async () => {
    const door = new Door('queue');
    await door.ask(`${A}/1`);
    expect([await door.ask(`${B}/1`, 3), await door.ask(`${C}/1`, 3), await door.ask(`${B}/2`, 3)]).toEqual([
      'waits',
      'waits',
      'waits',
    ]);
    expect(await door.ask(`${C}/2`, 3)).toBe('3 wait for their turn already (clients: queue)');
    expect([...door.here]).toEqual([`${A}/1`]);

    await door.leave(`${A}/1`);
    expect([...door.here]).toEqual([`${B}/1`, `${B}/2`]);
    await door.leave(`${B}/1`);
    await door.leave(`${B}/2`);
    expect([...door.here]).toEqual([`${C}/1`]);
  });

  test('queue: who gives up while waiting is forgotten', async () => {
    const door = new Door('queue');
    await door.ask(`${A}/1`);
    await door.ask(`${B}/1`);
    await door.ask(`${C}/1`);
    await door.leave(`${B}/1`);
    await door.leave(`${A}/1`);
    expect([...door.here]).toEqual([`${C}/1`]);
  });

  test('whatever comes and goes, there is never more than one address, nobody who could come in waits, and it ends empty', async () => {
    const step = fc.record({
      who: fc.constantFrom(A, B, C),
      number: fc.integer({ min: 1, max: 3 }),
      act: fc.constantFrom('ask', 'leave'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<'exclusive' | 'takeover' | 'queue'>('exclusive', 'takeover', 'queue'),
        fc.array(step, { maxLength: 40 }),
        async (rule, steps) => {
          const door = new Door(rule);
          const inside = new Set<string>();
          for (const { who, number, act } of steps) {
            const place = `${who}/${number}`;
            if (act === 'leave') {
              inside.delete(place);
              await door.leave(place);
            } else if (!inside.has(place)) {
              const said = await door.ask(place, 4);
              if (said === 'in' || said === 'waits') inside.add(place);
            }
            for (const cut of door.cuts) inside.delete(cut.split(': ')[0] ?? '');
            door.cuts.length = 0;
            expect(new Set([...door.here].map((at) => at.split('/')[0])).size).toBeLessThanOrEqual(1);
            expect(inside.size === 0 || door.here.size > 0).toBe(true);
          }
          for (const place of inside) await door.leave(place);
          for (const who of [A, B, C]) {
            expect(await door.ask(`${who}/9`)).toBe('in');
            await door.leave(`${who}/9`);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
