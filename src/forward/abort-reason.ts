import { TunnelError } from '../model/failure.ts';

/** Why a signal fired, as an error to reject with: `AbortSignal.timeout` means TIMED_OUT. */
export function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  if (reason instanceof DOMException && reason.name === 'TimeoutError') {
    return new TunnelError('TIMED_OUT', 'Cannot wait any longer: the time is over', { cause: reason });
  }
  return reason instanceof Error ? reason : new Error(String(reason));
}
