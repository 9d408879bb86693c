import { createHash } from 'node:crypto';
import { lstat, mkdtemp, rm, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { serveControl, type ControlServer, type ServeControlOptions } from '../control/server.ts';
import { LONGEST_SOCKET_PATH, type Paths } from '../files/paths.ts';
import { ensurePrivateFolder } from '../files/private-folder.ts';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import type { Lock } from './lock.ts';

export interface DoorOptions extends Pick<ServeControlOptions, 'identity' | 'handlers' | 'onFault'> {
  /** The home cannot be written: where the socket finds no place either, it goes to a folder of its own for this run. */
  readonly homeless?: boolean;
}

/**
 * Where clients come in: the control socket, and the lock that leads them to it. The lock is held by its owner, who
 * closes the door too.
 */
export class Door {
  readonly #paths: Paths;
  readonly #lock: Lock;
  readonly #options: DoorOptions;
  /** The last one listens; those before it serve out the connections they have. */
  readonly #servers: ControlServer[] = [];
  /** Ours for this run alone, and removed with the door. */
  #shelter: string | undefined;

  constructor(paths: Paths, lock: Lock, options: DoorOptions) {
    this.#paths = paths;
    this.#lock = lock;
    this.#options = options;
  }

  get socket(): string {
    return this.#servers.at(-1)?.socket ?? this.#paths.socket;
  }

  get connectionCount(): number {
    return this.#servers.reduce((sum, server) => sum + server.connectionCount, 0);
  }

  /** Listens, where the socket of a supervisor that has ended may still stand, and has the lock say where. */
  async open(): Promise<void> {
    const server = await this.#listen();
    this.#servers.push(server);
    if (this.#lock.facts.socket !== server.socket) await this.#lock.renew(server.socket);
  }

  /**
   * Puts back what somebody took away: a logout may remove the whole runtime folder, a person the state.
   * @returns false when the lock names another supervisor, or the whole home is gone: nobody finds this one any more,
   *   and it should end
   */
  async mend(): Promise<boolean> {
    const lock = await this.#lock.look();
    if (lock === 'taken') return false;
    if (lock === 'missing' && !(await exists(dirname(this.#paths.stateDir)))) return false;
    if (!(await isThere(this.socket))) {
      this.stopListening();
      await this.open();
    }
    if (lock === 'missing') {
      await ensurePrivateFolder(this.#paths.stateDir);
      await this.#lock.renew(this.socket);
    }
    return true;
  }

  /** Takes no new clients. Safe to call twice. */
  stopListening(): void {
    for (const server of this.#servers) server.stopListening();
  }

  /** And hangs up on those there are, once they have what is queued for them. Safe to call twice. */
  async close(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()));
    if (this.#shelter !== undefined) await rm(this.#shelter, { recursive: true, force: true });
  }

  async #listen(): Promise<ControlServer> {
    const { socket, stateDir } = this.#paths;
    try {
      return await this.#serve(socket);
    } catch (thrown) {
      const error = asTunnelError(thrown);
      if (socket.startsWith('\\\\')) throw error;
      if (error.code === 'SUPERVISOR_RUNNING') return this.#makeRoom(socket, stateDir);
      // A runtime folder that is another user's (su keeps XDG_RUNTIME_DIR) or was removed at logout: not ours to make.
      const instead = join(stateDir, 'run', 'supervisor.sock');
      if (this.#options.homeless === true) return this.#serve(await this.#sheltered());
      if (socket === instead || Buffer.byteLength(instead) > LONGEST_SOCKET_PATH) throw error;
      return this.#serveAnew(instead);
    }
  }

  async #sheltered(): Promise<string> {
    this.#shelter ??= await mkdtemp(join(tmpdir(), 'tunnel-')); // 0700, as mkdtemp makes it
    return join(this.#shelter, 's');
  }

  /** Ours is the lock, so whoever answers at our socket serves another home that shares our runtime folder. */
  async #makeRoom(socket: string, stateDir: string): Promise<ControlServer> {
    if (!(await isAnswered(socket))) return this.#serveAnew(socket);
    const digest = createHash('sha256').update(stateDir).digest('hex').slice(0, 8);
    return this.#serveAnew(join(dirname(socket), `${digest}.sock`)); // no longer than supervisor.sock
  }

  async #serveAnew(socket: string): Promise<ControlServer> {
    await removeSocket(socket);
    return this.#serve(socket);
  }

  #serve(socket: string): Promise<ControlServer> {
    const { identity, handlers, onFault } = this.#options;
    return serveControl({ identity, handlers, onFault, socket, prepareFolder: ensurePrivateFolder });
  }
}

/** A pipe lasts as long as its server. */
async function isThere(socket: string): Promise<boolean> {
  return socket.startsWith('\\\\') || exists(socket);
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Whether a process listens there: the kernel refuses at once where none does. */
function isAnswered(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const line = connect({ path: socket });
    line.once('connect', () => {
      line.destroy();
      resolve(true);
    });
    line.once('error', () => resolve(false));
  });
}

/** Only ever a socket: whatever else stands in the place is not ours to remove. */
async function removeSocket(path: string): Promise<void> {
  try {
    const facts = await lstat(path);
    if (!facts.isSocket()) throw new TunnelError('FILE', `Cannot listen on ${path}: a file stands there`);
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
