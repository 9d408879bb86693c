import { Duplex } from 'node:stream';
import { expect, onTestFinished, test, vi } from 'vitest';
import { SshChannel } from '../../src/ssh/channel.ts';
import { LightChannel, type ChannelSide } from '../../src/ssh/compat/light-channel.ts';
import { Lull } from '../../src/ssh/data/lull.ts';
import { Sharing } from '../../src/ssh/data/sharing.ts';
import { SlabPool } from '../../src/ssh/data/slab-pool.ts';
import { Uplink } from '../../src/ssh/data/uplink.ts';
import { WriteBatch } from '../../src/ssh/data/write-batch.ts';

/** Channels of one connection, what they send without its packets' frames, and the channel as ssh2 sees it. */
function aConnection() {
  let sent = '';
  const wire = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      sent += chunk.toString('latin1');
      done();
    },
  });
  const batch = WriteBatch.over(wire, new SlabPool());
  const protocol = {
    channelData: (_id: number, data: Buffer) => {
      const packet = batch.room(data.length);
      packet.set(data);
      wire.write(packet);
    },
    channelEOF: () => undefined,
    channelClose: () => undefined,
    channelWindowAdjust: () => undefined,
  };
  const side = (): ChannelSide => ({ id: 1, window: 2 ** 21, packetSize: 32 * 1024, state: 'open' });
  const uplink = new Uplink([wire], () => false);
  const bulk = { adjusts: { watch: () => undefined }, sharing: new Sharing(), lull: new Lull(), roundTripMs: () => 1 };
  const open = () => {
    const raw = new LightChannel(side(), side(), { _protocol: protocol });
    const none = { reads: undefined, window: undefined, onHeard: () => undefined, onGone: () => undefined };
    return { raw, channel: new SshChannel(raw, { uplink, bulk, ...none }) };
  };
  return { open, sent: () => sent };
}

test.each(['write', 'lend'] as const)(
  'a key that comes by `%s` while another channel sends much goes out before the turn ends',
  (how) => {
    vi.useFakeTimers({ toFake: ['performance'] }); // a second without a word, and the connection is the upload's again
    onTestFinished(() => void vi.useRealTimers());
    const { open, sent } = aConnection();
    const [upload, keys] = [open().channel, open().channel];
    for (let count = 0; count < 5; count += 1) {
      upload.lend(Buffer.alloc(64 * 1024));
      keys[how](Buffer.from('earlier'));
    }

    keys[how](Buffer.from('now'));

    expect(sent().endsWith('now')).toBe(true);
  },
);

test('a channel that was paused and resumed before it had a reader flows once it has one', async () => {
  const { raw, channel } = aConnection().open();
  channel.pause();
  channel.resume();
  raw.push(Buffer.from('220 ready'));
  const heard = new Promise((resolve) =>
    channel.attach({
      data: (chunk) => resolve(String(chunk)),
      end: () => undefined,
      drain: () => undefined,
      closed: resolve,
    }),
  );

  expect(await heard).toBe('220 ready');
});
