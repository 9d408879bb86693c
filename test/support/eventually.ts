/**
 * Waits until `look` gives something other than undefined, null or false, and returns it. For states that have no event; asks again every
 * few milliseconds, so a test takes as long as the thing itself and not as long as a guess.
 * @throws what `look` threw last, or an Error that names `what`, once `withinMs` is over
 */
export async function eventually<T>(
  look: () => T | Promise<T>,
  { withinMs = 5_000, what = 'the expected state' }: { readonly withinMs?: number; readonly what?: string } = {},
): Promise<NonNullable<T>> {
  const endsAt = performance.now() + withinMs;
  let lastError: unknown = new Error(`Waited ${withinMs} ms for ${what}`);
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== null && seen !== false) return seen;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > endsAt) throw lastError;
    await pause(5);
  }
}

/**
 * Shows that something does not happen: looks on for `forMs` and fails as soon as `look` is true.
 * The one place where a test may spend time on nothing. Where this process stood still meanwhile, it lets what came be read before it ends.
 */
export async function observes(forMs: number, look: () => boolean, what: string): Promise<void> {
  const endsAt = performance.now() + forMs;
  for (let looks = 0; looks < LEAST_LOOKS || performance.now() < endsAt; looks += 1) {
    if (look()) throw new Error(`Saw ${what} within ${forMs} ms`);
    await pause(5);
  }
}

/** Each is a turn of the event loop, in which sockets are read. */
const LEAST_LOOKS = 5;

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
