/** A source of bytes that took a break so that others have their turn. */
export interface Reading {
  /** Its turn has come: read on. */
  readOn(): void;
}

/**
 * What one source may read before others have their turn. libuv reads a socket that has more up to 32 times in a row (2 MiB), and
 * whatever else the event loop has to do, another connection's byte or a keepalive, waits for that: with eight uploads 90 ms.
 */
export const TURN_BYTES = 256 * 1024;
/** The same, where a connection is shared: a byte of another channel waits for one such turn each time it passes this process. */
export const SHARED_TURN_BYTES = 64 * 1024;
/** So many sources read on in one turn of the event loop, over all connections of this process: some half a millisecond of work. */
const SOURCES_A_TURN = 2;

const waiting = new Set<Reading>();
let scheduled = false;

/** Has the source read on when its turn comes: first come, first served. */
export function awaitTurn(source: Reading): void {
  waiting.add(source);
  schedule();
}

/** It has ended. */
export function forgetTurn(source: Reading): void {
  waiting.delete(source);
}

/** The check phase comes when every socket that had something to say has been read. */
function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(() => {
    scheduled = false;
    for (const source of [...waiting].slice(0, SOURCES_A_TURN)) {
      waiting.delete(source);
      source.readOn();
    }
    if (waiting.size > 0) schedule();
  });
}
