import { Socket } from 'node:net';

/** One read of a socket that has much to say: a quarter as many system calls as Node's own 64 KiB, and no memory for each. */
const WIDE_BYTES = 256 * 1024;

let shared: Buffer | undefined;
/** Its beginning, for reads that are to be smaller. */
let narrow: Buffer | undefined;

/**
 * From now on the socket is read into one piece of memory that all such sockets of the process share. `take` gets what was read in
 * place of 'data', and may use it until it returns. What Node has read before still comes by 'data', first; 'end', pause and resume
 * work as ever. This is `net.connect`'s documented option `onread`, given to a socket that somebody else has made: a listener's
 * sockets cannot have it from the beginning.
 * @param mostBytes asked after each read: how much the next one may take
 * @returns false, with nothing changed, where this Node keeps the option in another way than 20 to 24 do
 */
export function readWide(socket: Socket, take: (chunk: Buffer) => void, mostBytes = (): number => WIDE_BYTES): boolean {
  const slots = slotsOf(socket);
  const handle: unknown = Reflect.get(socket, '_handle');
  if (slots === undefined || !takesBuffers(handle)) return false;
  const memory = (shared ??= Buffer.allocUnsafeSlow(WIDE_BYTES));
  Reflect.set(socket, slots.buffer, memory);
  Reflect.set(socket, slots.callback, (bytes: number) => {
    take(memory.subarray(0, bytes));
    return true;
  });
  Reflect.set(socket, slots.generator, () => {
    const bytes = mostBytes();
    if (bytes >= WIDE_BYTES) return memory;
    return narrow?.length === bytes ? narrow : (narrow = memory.subarray(0, bytes));
  });
  handle.useUserBuffer(memory);
  return true;
}

/** Whether this Node keeps `onread` where `readWide` looks for it. */
export const wideReadsAreKnown: boolean = slotsOf(new Socket()) !== undefined;

interface Slots {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
}

/** Where a socket keeps its `onread`: null in one that has none. */
function slotsOf(socket: Socket): Slots | undefined {
  const symbols = Object.getOwnPropertySymbols(socket);
  const slot = (name: string): symbol | undefined =>
    symbols.find((one) => one.description === name && Reflect.get(socket, one) === null);
  const [buffer, callback, generator] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map(slot);
  if (buffer === undefined || callback === undefined || generator === undefined) return undefined;
  return { buffer, callback, generator };
}

function takesBuffers(handle: unknown): handle is { useUserBuffer(memory: Uint8Array): void } {
  return typeof handle === 'object' && handle !== null && typeof Reflect.get(handle, 'useUserBuffer') === 'function';
}
