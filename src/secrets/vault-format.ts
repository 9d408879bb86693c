import { createHash } from 'node:crypto';

/** What a vault file says; bytes in base64. The names of its entries can be read by whoever can read the file, their values cannot. */
export interface VaultFile {
  readonly header: VaultHeader;
  readonly entries: Readonly<Record<string, Sealed>>;
}

export interface VaultHeader {
  readonly version: 1;
  /** Whether a person opens it, or a file does: who is asked for what. */
  readonly opens: 'passphrase' | 'key file';
  readonly salt: string;
  /** Tells a wrong passphrase before anything is decrypted with it. */
  readonly check: string;
  /** The data key, encrypted with the key that scrypt makes of the passphrase. */
  readonly dataKey: Sealed;
}

/** AES-256-GCM. */
export interface Sealed {
  readonly nonce: string;
  readonly text: string;
  readonly tag: string;
}

/** More than all passwords of a person take; a file of this size is not ours. */
export const LARGEST_VAULT_BYTES = 4 * 1024 * 1024;

const TITLE = 'tunnel vault';

/** The file's text: readable JSON, with a checksum of the header, so that damage there never passes for a wrong passphrase. */
export function formatVault({ header, entries }: VaultFile): string {
  const { version, ...rest } = header;
  const kdf = { name: 'scrypt', N: 2 ** 17, r: 8, p: 1 };
  return `${JSON.stringify({ title: TITLE, version, kdf, ...rest, checksum: checksum(header), entries }, null, 2)}\n`;
}

/** @returns the vault, or why the text is none */
export function parseVault(text: string): VaultFile | { readonly damage: string } {
  const value = parsedJson(text);
  if (!isRecord(value) || value['title'] !== TITLE) return { damage: 'it is damaged, or no vault' };
  if (value['version'] !== 1) return { damage: 'it is of a newer version of tunnel' };
  const { opens, salt, check, checksum: sum } = value;
  const [dataKey, entries] = [asSealed(value['dataKey']), asEntries(value['entries'])];
  if ((opens !== 'passphrase' && opens !== 'key file') || typeof salt !== 'string' || typeof check !== 'string') {
    return DAMAGED;
  }
  if (dataKey === undefined || entries === undefined) return DAMAGED;
  const header: VaultHeader = { version: 1, opens, salt, check, dataKey };
  return checksum(header) === sum ? { header, entries } : DAMAGED;
}

const DAMAGED = { damage: 'it is damaged' } as const;

/** Names one vault for good: a new one in its place has another. */
export function checksum({ version, opens, salt, check, dataKey }: VaultHeader): string {
  const fields = [String(version), opens, salt, check, dataKey.nonce, dataKey.text, dataKey.tag];
  return createHash('sha256').update(fields.join('\n')).digest('base64');
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function asEntries(value: unknown): Record<string, Sealed> | undefined {
  if (!isRecord(value)) return undefined;
  const entries = Object.entries(value).map(([name, sealed]) => [name, asSealed(sealed)] as const);
  const whole = entries.filter((entry): entry is readonly [string, Sealed] => entry[1] !== undefined);
  return whole.length === entries.length ? Object.fromEntries(whole) : undefined;
}

function asSealed(value: unknown): Sealed | undefined {
  if (!isRecord(value)) return undefined;
  const { nonce, text, tag } = value;
  if (typeof nonce !== 'string' || typeof text !== 'string' || typeof tag !== 'string') return undefined;
  return { nonce, text, tag };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
