import type { HopPlan } from '../model/plan.ts';
import type { HopConnection } from './hop.ts';

/** RFC 4253 section 9: after each gigabyte and each hour. ssh2 only follows the server's wish. */
const DEFAULT_BYTES = 1024 ** 3;
const DEFAULT_MS = 60 * 60 * 1000;

/**
 * Starts a key exchange of a hop whenever its limit is reached, until the hop ends.
 * @param countBytes bytes of both directions on the network so far; traffic of inner hops runs through it too
 * @returns to be called whenever bytes have come in
 */
export function keepRekeying(hop: HopConnection, limits: HopPlan['rekey'], countBytes: () => number): () => void {
  const mostBytes = limits.bytes ?? DEFAULT_BYTES;
  let sinceBytes = countBytes();
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const rekey = (): void => {
    if (ended) return;
    sinceBytes = countBytes();
    hop.protocol.rekey(); // does nothing while another is under way
    arm();
  };
  const arm = (): void => {
    clearTimeout(timer);
    timer = setTimeout(rekey, limits.everyMs ?? DEFAULT_MS).unref();
  };
  hop.onEnded(() => {
    ended = true;
    clearTimeout(timer);
  });
  if (!ended) arm();
  return () => {
    if (!ended && countBytes() - sinceBytes >= mostBytes) rekey();
  };
}
