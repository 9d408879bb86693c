import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** MB that something in this process holds, after a collection: resident memory also has what merely was not collected yet. */
export async function heldMb(): Promise<number> {
  await setImmediate(); // what the turn that ends still holds is nobody's
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1e6;
}
