import { closeSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { TunnelError } from '../model/failure.ts';
import { HANDOVER_VERSION, NOTHING_UNLOCKED, type Estate } from '../model/handover.ts';
import { readBequest, readDeed, type Deed, type FromHeir } from './handover-messages.ts';

/** The supervisor whose place this process takes: our parent, until it has nothing to serve any more, or is killed. */
export class Predecessor {
  readonly estate: Estate;
  /** Of the lock that is left to us; undefined where the predecessor died first, and its lock is as any dead one's. */
  readonly token: string | undefined;
  /** Resolves once it has nothing to serve any more, or has died. */
  readonly gone: Promise<void>;

  constructor(sockets: Estate['sockets'], deed: Deed | undefined, gone: Promise<void>) {
    const { token, closed = [], serverBinds = {}, unlocked = NOTHING_UNLOCKED } = deed ?? {};
    this.token = token;
    this.gone = gone;
    for (const fd of closed) closeSync(fd);
    this.estate = { sockets: sockets.filter(({ fd }) => !closed.includes(fd)), serverBinds, unlocked };
  }

  /**
   * Says that we are there and waits for what is left to us. A predecessor that dies meanwhile leaves its sockets all the same.
   * @throws TunnelError USAGE where no supervisor started this process, PROTOCOL where it speaks another version
   */
  static async meet(): Promise<Predecessor> {
    if (process.send === undefined) {
      throw new TunnelError('USAGE', 'Cannot take over: no supervisor started this one', {
        hint: '`tunnel daemon restart` has one start the next.',
      });
    }
    const gone = disconnected();
    const told = new Promise<unknown>((resolve) => process.once('message', resolve));
    say({ step: 'ready', handover: HANDOVER_VERSION }); // first of all: it must learn our version, whatever its own is
    const { handover, sockets } = readBequest(JSON.parse(await text(process.stdin)));
    if (handover !== HANDOVER_VERSION)
      throw new TunnelError('PROTOCOL', 'Cannot take over: it is done in another way now');
    const deed = await Promise.race([told, gone]);
    return new Predecessor(sockets, deed === undefined ? undefined : readDeed(deed), gone);
  }

  /** Its clients are ours from now on. */
  serving(): void {
    say({ step: 'serving' });
    process.channel?.unref();
  }

  /** A tunnel was taken down here (null: all): its connections there have no more than this. */
  tookDown(name: string | null, drainMs: number): void {
    say({ step: 'down', name, drainMs });
  }
}

/** It may have died while our program was loaded: then no event follows. */
function disconnected(): Promise<void> {
  return new Promise((resolve) => (process.connected ? process.once('disconnect', () => resolve()) : resolve()));
}

/** To whoever is gone nothing need be said. */
function say(message: FromHeir): void {
  if (process.connected) process.send?.(message, () => undefined);
}
