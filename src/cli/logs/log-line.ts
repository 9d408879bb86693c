import type { StatusEvent } from '../../model/status.ts';

/** Fields that each kind of event must have to be shown; what else there is passes through. */
const FIELDS: Readonly<Record<string, Readonly<Record<string, 'string' | 'number' | 'object'>>>> = {
  tunnel: { status: 'object' },
  removed: {},
  connection: {
    forward: 'string',
    client: 'string',
    target: 'string',
    durationMs: 'number',
    receivedBytes: 'number',
    sentBytes: 'number',
    end: 'string',
  },
  note: { level: 'string', message: 'string' },
};

/** A line of the log as the event that it is; undefined for a torn line and for what a newer version may write. */
export function parseLogLine(line: string): StatusEvent | undefined {
  const value = parsed(line);
  if (!isRecord(value) || typeof value['event'] !== 'string' || typeof value['at'] !== 'string') return undefined;
  const fields = FIELDS[value['event']];
  if (fields === undefined || !(value['tunnel'] === null || typeof value['tunnel'] === 'string')) return undefined;
  if (Object.entries(fields).some(([field, type]) => typeof value[field] !== type)) return undefined;
  if (value['event'] === 'tunnel' && !isStatus(value['status'])) return undefined;
  if (value['event'] === 'note' && !['info', 'warn', 'error'].includes(String(value['level']))) return undefined;
  // The edge of the parser: the kind and the fields that are shown were looked at.
  return value as unknown as StatusEvent;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // the end of a full disk, or a supervisor killed in the middle of a line
  }
}

function isStatus(value: unknown): boolean {
  return isRecord(value) && typeof value['state'] === 'string' && Array.isArray(value['forwards']);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
