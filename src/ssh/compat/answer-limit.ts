import type { Duplex } from 'node:stream';
import { ProtocolBreach } from '../message-screen.ts';
import { exchangesKeys, type Protocol } from './protocol.ts';

/** Answers that a server may leave unread: far more than any asks for in one breath. */
const MOST_UNREAD = 4_096;

/** What answers a request of the server. */
const ANSWERS = ['requestSuccess', 'requestFailure', 'channelSuccess', 'channelFailure', 'channelOpenFail'];

/**
 * Bounds what a server can make us queue by asking and not reading: channels that it was not asked to open, global requests.
 * ssh2 1.17.0 answers each, whatever waits already. @throws ProtocolBreach, out of the answer that is one too many
 */
export function limitAnswers(protocol: Protocol, stream: Duplex): void {
  let unread = 0;
  stream.on('drain', () => (unread = 0));
  for (const name of ANSWERS) {
    const original: unknown = Reflect.get(protocol, name);
    if (typeof original !== 'function') continue;
    const counted = (...args: unknown[]): unknown => {
      // While keys are exchanged ssh2 queues by itself, and the stream knows nothing of it.
      const waits = stream.writableLength > 0 || exchangesKeys(protocol);
      unread = waits ? unread + 1 : 0;
      if (unread > MOST_UNREAD) throw new ProtocolBreach('more requests than it reads answers');
      return Reflect.apply(original, protocol, args);
    };
    Reflect.set(protocol, name, counted);
  }
}
