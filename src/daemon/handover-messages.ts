import { z } from 'zod';
import { TunnelError } from '../model/failure.ts';
import type { Estate } from '../model/handover.ts';

// What a supervisor and the one that takes its place say to each other: `Bequest` comes by the stdin of the one that comes,
// and so outlives the one that leaves; all else goes over the channel between parent and child.

/** What the one that comes must know whatever happens: which of its descriptors are listening sockets. */
export interface Bequest {
  readonly handover: number;
  readonly sockets: Estate['sockets'];
}

/** The rest of the estate, once nothing of it changes any more. */
export interface Deed extends Omit<Estate, 'sockets'> {
  /** Of the lock, which may be replaced from now on. */
  readonly token: string;
  /** Descriptors whose forwards have closed meanwhile. */
  readonly closed: readonly number[];
}

/** From the one that comes. */
export type FromHeir =
  | { readonly step: 'ready'; readonly handover: number }
  /** Every listener that there was listens there; the old one may close. */
  | { readonly step: 'serving' }
  /** A tunnel was taken down (null: all): what the old one still serves has no more than this. */
  | { readonly step: 'down'; readonly name: string | null; readonly drainMs: number };

const socket = z.object({ protocol: z.enum(['tcp', 'udp', 'unix']), at: z.string(), fd: z.number().int() });
const texts = z.record(z.string(), z.string());

const BEQUEST: z.ZodType<Bequest> = z.object({ handover: z.number(), sockets: z.array(socket) });

const DEED: z.ZodType<Deed> = z.object({
  token: z.string(),
  closed: z.array(z.number().int()),
  serverBinds: z.record(z.string(), texts),
  unlocked: z.object({ passwords: texts, keys: texts }),
});

const FROM_HEIR: z.ZodType<FromHeir> = z.discriminatedUnion('step', [
  z.object({ step: z.literal('ready'), handover: z.number() }),
  z.object({ step: z.literal('serving') }),
  z.object({ step: z.literal('down'), name: z.string().nullable(), drainMs: z.number().min(0) }),
]);

/** @throws TunnelError PROTOCOL */
export function readBequest(value: unknown): Bequest {
  return read(BEQUEST, value);
}

/** @throws TunnelError PROTOCOL, which never holds a value */
export function readDeed(message: unknown): Deed {
  return read(DEED, message);
}

/** @throws TunnelError PROTOCOL */
export function fromHeir(message: unknown): FromHeir {
  return read(FROM_HEIR, message);
}

function read<T>(schema: z.ZodType<T>, message: unknown): T {
  const found = schema.safeParse(message);
  if (found.success) return found.data;
  throw new TunnelError('PROTOCOL', 'Cannot hand over the supervisor: the two versions do not understand each other');
}
