import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { LightChannel, type ChannelSide } from '../../src/ssh/compat/light-channel.ts';

const MIB = 1024 * 1024;

/** ssh2's own treatment of a server's CHANNEL_CLOSE. */
const { onCHANNEL_CLOSE } = createRequire(import.meta.url)('ssh2/lib/utils.js') as {
  onCHANNEL_CLOSE: (client: object, recipient: number, channel: object, error?: Error, dead?: boolean) => void;
};

/** A channel, what it sent, and what its reader was told. */
function aChannel({ window = 2 * MIB, packetSize = 32 * 1024 } = {}) {
  const sent: string[] = [];
  const told: string[] = [];
  const protocol = {
    channelData: (id: number, data: Buffer) => void sent.push(`${id}: ${data.toString('latin1')}`),
    channelEOF: (id: number) => void sent.push(`${id} EOF`),
    channelClose: (id: number) => void sent.push(`${id} CLOSE`),
    channelWindowAdjust: (id: number, bytes: number) => void sent.push(`${id} +${bytes}`),
  };
  const incoming: ChannelSide = { id: 1, window: 2 * MIB, packetSize: 32 * 1024, state: 'open' };
  const channel = new LightChannel(incoming, { id: 7, window, packetSize, state: 'open' }, { _protocol: protocol });
  channel.onClosed(() => told.push('closed'));
  const read = (): void =>
    channel.flow(
      (chunk) => told.push(chunk.length > 9 ? `${chunk.length} bytes` : chunk.toString('latin1')),
      () => told.push('end'),
    );
  const client = { _chanMgr: { remove: () => undefined } };
  return {
    channel,
    sent,
    told,
    read,
    /** The server's messages, as ssh2's client deals with them. */
    eof: () => {
      channel.incoming.state = 'eof';
      channel.push(null);
    },
    close: (dead = false) => onCHANNEL_CLOSE(client, 1, channel, undefined, dead),
    widen: (bytes: number) => {
      channel.outgoing.window += bytes;
      expect(channel._waitWindow).toBe(true);
      channel._waitWindow = false;
      expect(channel._chunk).toBeDefined();
      channel._write();
    },
  };
}

const tick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));
const nobody = (): void => undefined;

test('what came before its reader is kept, with the end and the close behind it', async () => {
  const { channel, told, read, eof, close } = aChannel();
  channel.push(Buffer.from('one'));
  channel.push(Buffer.from('two'));
  eof();
  close();
  await tick();
  expect(told).toEqual([]);

  read();
  expect(told).toEqual([]); // not in the middle of the reader's own call
  await tick();

  expect(told).toEqual(['one', 'two', 'end', 'closed']);
});

test('a paused reader gets nothing, and what it leaves lying holds the server back', async () => {
  const { channel, told, sent, read } = aChannel();
  read();
  channel.pause();
  channel.incoming.window = MIB;
  expect([channel.push(Buffer.alloc(32 * 1024)), channel.push(Buffer.alloc(32 * 1024))]).toEqual([true, false]);
  channel._waitChanDrain = true; // what ssh2 does with that answer
  await tick();
  expect([told, channel.readableLength]).toEqual([[], 64 * 1024]);

  channel.resume();
  channel.push(Buffer.from('later')); // behind what waits
  await tick();

  expect(told).toEqual(['32768 bytes', '32768 bytes', 'later']);
  expect([sent, channel.readableLength, channel._waitChanDrain]).toEqual([[`7 +${MIB}`], 0, false]);
});

test('a reader that pauses in the middle is given the rest when it goes on', async () => {
  const { channel, told, eof } = aChannel();
  channel.flow(
    (chunk) => {
      told.push(chunk.toString());
      channel.pause();
    },
    () => told.push('end'),
  );
  channel.push(Buffer.from('one'));
  channel.push(Buffer.from('two'));
  eof();
  await tick();
  expect(told).toEqual(['one']);

  channel.resume();
  await tick();
  expect(told).toEqual(['one', 'two']);
  channel.resume();
  await tick();
  expect(told).toEqual(['one', 'two', 'end']);
});

test('what is written goes out in packets as large as the server takes, and no further than its window', () => {
  const { channel, sent, widen } = aChannel({ window: 5, packetSize: 3 });
  let done = 0;
  channel.write(Buffer.from('abcdefgh'), () => (done += 1));
  channel.write(Buffer.from('ij'), () => (done += 1));
  channel.end();
  channel.write(Buffer.from('after the end'), nobody);
  expect(sent.splice(0)).toEqual(['7: abc', '7: de']);
  expect([channel.writableLength, done]).toEqual([5, 0]);

  widen(4);
  expect(sent.splice(0)).toEqual(['7: fgh', '7: i']);
  expect([channel.writableLength, done]).toEqual([1, 0]);
  widen(100);

  expect(sent).toEqual(['7: j', '7 EOF']);
  expect([channel.writableLength, done, channel._chunk, channel._waitWindow]).toEqual([0, 1, undefined, false]);
});

test('after the end of both directions it is closed, once, whichever comes first', async () => {
  const ours = aChannel();
  ours.read();
  ours.channel.end();
  ours.eof();
  ours.close();
  const theirs = aChannel();
  theirs.read();
  theirs.eof();
  theirs.channel.end();
  theirs.channel.end();
  theirs.close();
  await tick();

  for (const { sent, told } of [ours, theirs])
    expect([sent, told]).toEqual([
      ['7 EOF', '7 CLOSE'],
      ['end', 'closed'],
    ]);
});

test('a channel that the server closes is answered, and a dead connection is told nothing', () => {
  const closed = aChannel();
  closed.read();
  closed.close();
  closed.channel.write(Buffer.from('too late'), nobody);
  closed.channel.close();
  const dead = aChannel();
  dead.read();
  dead.close(true);

  expect([closed.sent, closed.told, closed.channel.outgoing.state]).toEqual([['7 CLOSE'], ['end', 'closed'], 'closed']);
  expect([dead.sent, dead.told]).toEqual([[], ['end', 'closed']]);
});

test('what a connection does not have is not heard', async () => {
  const { channel, told, read, eof } = aChannel();
  read();
  eof();
  channel.emit('exit');
  expect(channel.stderr.push()).toBe(true);
  await tick();

  expect(told).toEqual(['end']);
});

test('data for a channel that we have closed is dropped', async () => {
  const { channel, sent, told, read } = aChannel();
  read();
  channel.close();

  channel.push(Buffer.alloc(32 * 1024));
  await tick();

  expect(sent).toEqual(['7 CLOSE']);
  expect(told).toEqual([]);
});
