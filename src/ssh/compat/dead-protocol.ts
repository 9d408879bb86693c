import type { Protocol } from './protocol.ts';

/**
 * Makes every later write on a dead connection do nothing. ssh2 1.17.0 throws "Invalid Zlib instance" out of any
 * write once a compressed connection is lost (mscdex/ssh2 issue 1178), also out of callbacks that nobody can guard.
 * Between the loss and its news at each channel such writes are normal.
 */
export function silenceWhenDead(protocol: Protocol): void {
  for (const name of WRITERS) {
    const original: unknown = Reflect.get(protocol, name);
    if (typeof original !== 'function') continue;
    const guarded = (...args: unknown[]): unknown => {
      if (protocol._destruct === undefined) return undefined;
      return Reflect.apply(original, protocol, args);
    };
    Reflect.set(protocol, name, guarded);
  }
}

const WRITERS = [
  'disconnect',
  'ping',
  'rekey',
  'requestSuccess',
  'requestFailure',
  'channelSuccess',
  'channelFailure',
  'channelEOF',
  'channelClose',
  'channelWindowAdjust',
  'channelData',
  'channelExtData',
  'channelOpenConfirm',
  'channelOpenFail',
  'directTcpip',
  'openssh_directStreamLocal',
  'tcpipForward',
  'cancelTcpipForward',
  'openssh_streamLocalForward',
  'openssh_cancelStreamLocalForward',
  'openssh_hostKeysProve',
  'service',
  'authPassword',
  'authPK',
  'authKeyboard',
  'authInfoRes',
  'authNone',
];
