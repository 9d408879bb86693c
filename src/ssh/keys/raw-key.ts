import type { KeyObject } from 'node:crypto';

const RAW_BYTES = 32;

/**
 * The bytes of a key of Ed25519 or X25519, which its DER ends with (RFC 8410). Not by way of JWK: there Node 20 makes strings while it holds the key's
 * lock, and where the collector then frees what generated the key, which wants that lock too, the whole process stands still for ever.
 */
export function rawKey(key: KeyObject): Buffer {
  const der =
    key.type === 'private' ? key.export({ type: 'pkcs8', format: 'der' }) : key.export({ type: 'spki', format: 'der' });
  return der.subarray(-RAW_BYTES);
}
