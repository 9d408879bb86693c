import { TunnelError } from '../model/failure.ts';
import type { Channel } from '../link/transport.ts';

/** A service that speaks first (POP3, IMAP, SMTP, SSH, MySQL) has done so by then; the others wait for their client. */
const GREETING_WITHIN_MS = 2_000;

/**
 * What the service says by itself: its first line, or that it waits. Closes the channel.
 * Rejects with TARGET_REFUSED where the service hangs up without a word.
 */
export function firstBytes(channel: Channel, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      channel.abort();
      settle();
    };
    const aborted = (): void => end(() => reject(signal.reason as Error));
    const timer = setTimeout(() => end(() => resolve('it waits for its client to speak')), GREETING_WITHIN_MS);
    const hungUp = (): void =>
      end(() => reject(new TunnelError('TARGET_REFUSED', 'Cannot talk to the service: it hung up without a word')));
    signal.addEventListener('abort', aborted);
    channel.attach({
      data: (chunk) => end(() => resolve(chunk.toString('latin1').split(/\r?\n/)[0] ?? '')),
      end: hungUp,
      drain: () => undefined,
      closed: hungUp,
    });
  });
}
