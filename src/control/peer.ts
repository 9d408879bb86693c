import { lstatSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { TunnelError } from '../model/failure.ts';

/**
 * Makes sure that the socket can only be our own supervisor's before a word is sent to it: it is a socket and no
 * link, it and its folder are ours, and nobody else may enter the folder. Another user who made the path first would
 * otherwise receive our passwords. A Windows pipe has no such facts, and is taken as it is: its name is in a
 * namespace where the first owner keeps it, and its default rights let others read but not write.
 * @throws TunnelError SUPERVISOR_UNREACHABLE
 */
export function checkSocketOwner(socketPath: string): void {
  if (socketPath.startsWith('\\\\')) return;
  const folder = dirname(socketPath);
  const [place, socket] = [facts(folder, socketPath), facts(socketPath, socketPath)];
  const ourUid = process.getuid?.();
  if (!place.isDirectory()) throw refusal(socketPath, `${folder} is not a folder`);
  if (place.uid !== ourUid) throw refusal(socketPath, `${folder} belongs to another user`);
  if ((place.mode & 0o077) !== 0) throw refusal(socketPath, `${folder} is open to others`, `chmod 700 ${folder}`);
  if (!socket.isSocket()) throw refusal(socketPath, 'it is not a socket');
  if (socket.uid !== ourUid) throw refusal(socketPath, 'it belongs to another user');
}

function facts(path: string, socketPath: string): Stats {
  try {
    return lstatSync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw refusal(socketPath, code === 'ENOENT' ? 'it is not there' : (code ?? message), '', error);
  }
}

function refusal(socketPath: string, why: string, remedy = '', cause?: unknown): TunnelError {
  const hint = remedy === '' ? {} : { hint: `Run: ${remedy}` };
  return new TunnelError('SUPERVISOR_UNREACHABLE', `Cannot reach the supervisor at ${socketPath}: ${why}`, {
    cause,
    ...hint,
  });
}
