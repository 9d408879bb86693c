import { TunnelError } from '../model/failure.ts';

/** What errno means in plain words, for the ends of messages; other codes keep the system's own text. */
const REASONS: Record<string, string | undefined> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota is used up',
  ENOENT: 'it does not exist',
  ENOTDIR: 'a file stands in the way',
  EISDIR: 'it is a folder',
  ELOOP: 'it is a symbolic link',
};

/** The code of a system error, '' for anything else. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Why a file could not be used, to stand after a colon. */
export function fileReason(error: unknown): string {
  return REASONS[errorCode(error)] ?? (error instanceof Error ? error.message : String(error));
}

/** @param what "write /home/a/x", to stand after "Cannot" */
export function fileError(what: string, error: unknown, hint?: string): TunnelError {
  return new TunnelError('FILE', `Cannot ${what}: ${fileReason(error)}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}
