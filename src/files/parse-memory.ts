import type { SupervisorMemory, WantedTunnel } from '../model/memory.ts';

/** Larger than any real one by far; a file of this size is not ours. */
const SIZE_LIMIT = 4 * 1024 * 1024;

/** Reads what `StateFile` writes; apart from it, since `status` reads too. @returns undefined where the text is none of it */
export function parseMemory(text: string): SupervisorMemory | undefined {
  if (text.length > SIZE_LIMIT) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (!isRecord(value) || !Array.isArray(value['wanted']) || !isRecord(value['ports'])) return undefined;
  const wanted = value['wanted'].map(parseWanted);
  const ports = Object.entries(value['ports']).map(([tunnel, kept]) => [tunnel, parsePorts(kept)] as const);
  if (wanted.includes(undefined) || ports.some(([, kept]) => kept === undefined)) return undefined;
  const authSock = value['authSock'];
  return {
    wanted: wanted.filter((one) => one !== undefined),
    ...(typeof authSock === 'string' ? { authSock } : {}),
    ports: Object.fromEntries(ports.map(([tunnel, kept]) => [tunnel, kept ?? {}])),
  };
}

function parseWanted(value: unknown): WantedTunnel | undefined {
  if (!isRecord(value)) return undefined;
  const { name, profile, cwd } = value;
  if (typeof name !== 'string' || typeof profile !== 'string' || typeof cwd !== 'string') return undefined;
  return { name, profile, cwd };
}

function parsePorts(value: unknown): Record<string, number> | undefined {
  if (!isRecord(value)) return undefined;
  const ports = Object.entries(value).filter((entry): entry is [string, number] => isPort(entry[1]));
  return ports.length === Object.keys(value).length ? Object.fromEntries(ports) : undefined;
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && typeof value === 'number' && value > 0 && value <= 65_535;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
