import type { Socket } from 'node:net';

/** libuv 1.46 (Node 20) does so, and 1.52 (Node 24) does not; looking again harms neither. */
const FIRST_HONEST = [1, 52] as const;

/**
 * Looks once more at a socket that has ended. libuv tells a reset that comes right behind data as an end, and Node then listens no
 * more: a client that has crashed would be half open for as long as its target says nothing. Its error is still there to be read;
 * a true end is read as one again, and nobody is told twice.
 */
export const lookForReset: (socket: Socket) => void = hidesResets(process.versions.uv) ? readAgain : () => undefined;

function hidesResets(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < FIRST_HONEST[0] || (major === FIRST_HONEST[0] && minor < FIRST_HONEST[1]);
}

function readAgain(socket: Socket): void {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (!socket.destroyed && canRead(handle)) handle.readStart();
}

function canRead(handle: unknown): handle is { readStart(): unknown } {
  return typeof handle === 'object' && handle !== null && typeof Reflect.get(handle, 'readStart') === 'function';
}
