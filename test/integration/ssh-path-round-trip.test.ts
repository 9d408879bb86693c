import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import type { Channel, ChannelSink } from '../../src/link/transport.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import { eventually } from '../support/eventually.ts';
import { aDial, ALWAYS, aRequest, NOBODY, sshdHop } from '../support/ssh-dial.ts';
import { startSshd } from '../support/sshd.ts';

const MIB = 1024 * 1024;
const CHUNK = Buffer.alloc(64 * 1024);

afterEach(() => void vi.restoreAllMocks());

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** A path to a port whose length can change, and that knows the most bytes that were on their way up at once. */
async function path(to: number) {
  const state = { port: 0, lagMs: 5, underWay: 0, mostUnderWay: 0 };
  const carry = (from: Socket, into: Socket, counts: 0 | 1): void => {
    from.on('data', (data) => {
      state.underWay += counts * data.length;
      state.mostUnderWay = Math.max(state.mostUnderWay, state.underWay);
      setTimeout(() => {
        state.underWay -= counts * data.length;
        into.write(data);
      }, state.lagMs);
    });
    from.on('error', () => undefined).on('close', () => into.destroy());
  };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: '127.0.0.1', port: to, noDelay: true });
    carry(near, far, 1);
    carry(far, near, 0);
  });
  state.port = await listening(server);
  return state;
}

/** Takes what is much, and answers what is little. */
async function target(): Promise<Endpoint> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined).on('data', (data) => void (data.length < 100 && socket.write(data)));
  });
  return { kind: 'tcp', host: '127.0.0.1', port: await listening(server) };
}

const sink = (over: Partial<ChannelSink>): ChannelSink => ({
  data: () => undefined,
  end: () => undefined,
  drain: () => undefined,
  closed: () => undefined,
  ...over,
});

function uploadAll(channel: Channel): void {
  const pump = (): void => {
    if (channel.lend?.(CHUNK) === true) setImmediate(pump);
  };
  channel.attach(sink({ drain: pump }));
  pump();
}

/** @returns how often it was answered */
function chat(channel: Channel): () => number {
  let answers = 0;
  const say = (): void => void channel.write(Buffer.from('x'));
  channel.attach(sink({ data: () => ((answers += 1), say()) }));
  say();
  return () => answers;
}

test(
  'on a path that became longer an upload beside a conversation gets what the path holds again',
  { timeout: 60_000 },
  async () => {
    const sshd = await startSshd();
    onTestFinished(() => sshd.stop());
    const line = await path(sshd.port);
    const [realNow, later] = [performance.now.bind(performance), { ms: 0 }];
    vi.spyOn(performance, 'now').mockImplementation(() => realNow() + later.ms);
    const transport = await aDial()(aRequest([{ ...sshdHop(sshd), port: line.port }]).request);
    onTestFinished(() => transport.close());
    const to = await target();
    const [upload, talk] = [
      await transport.openDirect(to, NOBODY, ALWAYS),
      await transport.openDirect(to, NOBODY, ALWAYS),
    ];
    await transport.ping();
    const answers = chat(talk);
    uploadAll(upload);
    await eventually(() => answers() > 50, { withinMs: 20_000, what: 'the hold to know the path' });

    line.lagMs = 60;
    for (let minute = 0; minute < 3; minute += 1) {
      later.ms += 61_000;
      const before = answers();
      await eventually(() => answers() > before + 3, { what: 'the conversation to go on' });
      for (let ping = 0; ping < 2; ping += 1) await transport.ping(); // the second is answered behind what the first one measures
    }
    line.mostUnderWay = 0;
    await eventually(() => line.mostUnderWay > MIB, { withinMs: 20_000, what: 'a MiB under way' });
    expect(await transport.ping()).toBeGreaterThan(100);
    upload.abort();
    talk.abort();
  },
);
