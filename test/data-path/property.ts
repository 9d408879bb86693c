import fc from 'fast-check';
import { chacha20Works } from '../../src/ssh/compat/chacha20.ts';
import type { DataPathStage, Mishap, Setting } from './stage.ts';
import { rarely, visits, type Visit } from './visit.ts';

/** Everything at random: how the bytes get there, who sends what, who is slow, who leaves, whether the link is cut. */
export interface Play extends Mishap {
  readonly setting: Setting;
  readonly rounds: readonly (readonly Visit[])[];
}

const ETM = 'hmac-sha2-256-etm@openssh.com';

export type Sealed = Pick<Setting, 'cipher' | 'mac'>;

/** One of each way to lay a packet out. */
export const CIPHERS: readonly Sealed[] = [
  { cipher: 'aes128-gcm@openssh.com', mac: ETM },
  ...(chacha20Works ? [{ cipher: 'chacha20-poly1305@openssh.com', mac: ETM }] : []),
  { cipher: 'aes256-ctr', mac: ETM },
];
const MORE_CIPHERS: readonly Sealed[] = [
  { cipher: 'aes256-gcm@openssh.com', mac: ETM },
  { cipher: 'aes128-ctr', mac: 'hmac-sha2-512-etm@openssh.com' },
  { cipher: 'aes128-ctr', mac: 'hmac-sha2-256' },
];

/** Where reads end: within a MAC, before one that is longer, behind the packet by less than is lent or by more, or nowhere. */
export const cuts = fc.array(
  fc.oneof(
    fc.constant(null),
    { weight: 3, arbitrary: fc.integer({ min: -16, max: -1 }) },
    fc.integer({ min: -70, max: 10 }),
    fc.integer({ min: 100, max: 20_000 }),
  ),
  { maxLength: 9 },
);

const setting: fc.Arbitrary<Setting> = fc
  .record({
    sealed: fc.constantFrom(...CIPHERS, ...MORE_CIPHERS),
    hops: fc.constantFrom(1, 1, 1, 2),
    compression: fc.constantFrom(false, false, false, true),
    levers: fc.constantFrom(
      {},
      {},
      {},
      { slab: false },
      { reads: false },
      { windows: false },
      { channels: false },
      { sharing: false },
    ),
    rekeyBytes: fc.constantFrom(null, 700_000, 3_000_000),
    cuts,
  })
  .map(({ sealed, ...rest }) => ({ ...sealed, ...rest }));

const play: fc.Arbitrary<Play> = fc.record({
  setting,
  rounds: fc.array(visits(2_500_000), { minLength: 1, maxLength: 4 }),
  linkLostAfterBytes: rarely(8, fc.integer({ min: 1, max: 3_000_000 })),
});

/** Every byte of every connection arrives as it was sent, in its place, and all of them where nobody cut it. */
export function dataPathProperty(stage: DataPathStage): fc.IAsyncProperty<[Play]> {
  return fc.asyncProperty(play, async ({ setting, rounds, linkLostAfterBytes }) => {
    await using run = await stage.connect(setting);
    for (const [index, round] of rounds.entries()) {
      if (run.lost) return;
      await run.play(round, { linkLostAfterBytes: index === rounds.length - 1 ? linkLostAfterBytes : undefined });
    }
  });
}
