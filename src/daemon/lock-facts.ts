import type { ProcessIdentity } from './process-identity.ts';

/** What the lock file says: which process serves this home, and where it is reached. */
export interface LockFacts extends ProcessIdentity {
  /** Tells this hold of the lock from every other one. */
  readonly token: string;
  /** ISO 8601 UTC. */
  readonly startedAt: string;
  readonly socket: string;
  readonly version: string;
}

/** Reads the JSON of a lock file; undefined where it is none, as after a crash of the machine. */
export function parseLock(text: string): LockFacts | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(value));
  const words = [fields.get('token'), fields.get('startedAt'), fields.get('socket'), fields.get('version')];
  const [token, startedAt, socket, version] = words.map(textOf);
  const pid = fields.get('pid');
  if (token === undefined || startedAt === undefined || socket === undefined || version === undefined) return undefined;
  // 0 and below name groups of processes to kill(2): never let one in.
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
  const [bootId = null, processStart = null] = [fields.get('bootId'), fields.get('processStart')].map(textOf);
  return { pid, bootId, processStart, token, startedAt, socket, version };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
