import { sendPacket } from './internals.ts';
import { exchangesKeys, type Protocol } from './protocol.ts';

/** SSH_MSG_IGNORE with nothing in it (RFC 4253 section 11.2). */
export const NOTHING_SAID = Buffer.of(2, 0, 0, 0, 0);

/**
 * Has the kernel acknowledge at once what has come. Where we have nothing to say it waits for 40 ms, and so long an sshd keeps
 * back the next small packet (RFC 896): it sets TCP_NODELAY for sessions with a terminal alone.
 */
export function acknowledge(protocol: Protocol): void {
  // While keys are exchanged something is on its way anyhow.
  if (protocol._destruct === undefined || exchangesKeys(protocol)) return;
  const writer = protocol._packetRW.write;
  const start = writer.allocStart;
  const packet = writer.alloc(NOTHING_SAID.length);
  packet.set(NOTHING_SAID, start);
  sendPacket(protocol, writer.finalize(packet));
}
