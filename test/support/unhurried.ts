import { onTestFinished, vi } from 'vitest';

/**
 * To the end of the test, a search for who holds a port takes the time that it needs: it gives up after 800 ms, in which a busy machine
 * may not come to its end, and what it finds is the question here.
 */
export function unhurriedSearch(): void {
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => new AbortController().signal);
  onTestFinished(() => timeout.mockRestore());
}
