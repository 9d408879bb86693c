/** Sources read on at once, whoever else waits. */
import type { Reading } from '../../../src/forward/splice/read-turns.ts';

export { SHARED_TURN_BYTES, TURN_BYTES, type Reading } from '../../../src/forward/splice/read-turns.ts';

const waiting = new Set<Reading>();

/** After the caller's own `pause`, and before libuv looks at anybody else. */
export function awaitTurn(source: Reading): void {
  waiting.add(source);
  process.nextTick(() => {
    if (waiting.delete(source)) source.readOn();
  });
}

export function forgetTurn(source: Reading): void {
  waiting.delete(source);
}
