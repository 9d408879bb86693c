import { ListeningSockets } from '../../src/forward/listen/listening-sockets.ts';
import { NOTHING_UNLOCKED } from '../../src/model/handover.ts';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { composeEngine } from '../../src/compose-engine.ts';
import { appendKnownHost } from '../../src/files/known-hosts-append.ts';
import { readKnownHosts } from '../../src/files/known-hosts.ts';
import type { Dial } from '../../src/link/transport.ts';
import type { ForwardPlan, LocalForwardPlan, Plan } from '../../src/model/plan.ts';
import type { OpenQuestion } from '../../src/model/request.ts';
import type { TunnelStatus } from '../../src/model/status.ts';
import { TunnelSupervisor } from '../../src/supervisor/supervisor.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, makeKey, startSshd, type TestSshd } from '../support/sshd.ts';
import { aForward, aHop, aTunnelPlan, heard, SeenStore } from '../support/supervisor-parts.ts';
import { unhurriedSearch } from '../support/unhurried.ts';

async function loadDial(): Promise<Dial> {
  const { createDial } = await import('../../src/ssh/dial.ts');
  return createDial({
    readSecret: () => Promise.resolve(undefined),
    hostKeys: { read: readKnownHosts, append: appendKnownHost },
  });
}

let sshd: TestSshd;
let target: Server;
let targetPort: number;
let supervisor: TunnelSupervisor;
const clients: Socket[] = [];

beforeEach(async () => {
  sshd = await startSshd();
  target = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => undefined).pipe(socket));
  targetPort = await listening(target);
  supervisor = new TunnelSupervisor({
    ...composeEngine({ loadDial, loadMapper: () => Promise.reject(new Error('no forward here has a mapping')) }),
    version: '0.0.0',
    resolve: () => Promise.reject(new Error('These tests bring plans of their own')),
    listNames: () => Promise.resolve([]),
    refuseConflicts: () => undefined,
    readPassword: () => Promise.resolve(undefined),
    estate: { sockets: new ListeningSockets(), unlocked: () => NOTHING_UNLOCKED, serverBinds: {} },
    store: new SeenStore(),
    log: null,
    onNotes: () => undefined,
    authSock: undefined,
  });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await supervisor.close(0);
  await sshd.stop();
  target.close();
});

describe('a supervisor with its real parts, over a real sshd', () => {
  test('serves a connection, and serves again after the server was killed and came back', async () => {
    const port = await freePort();
    await supervisor.apply([mail([forward(port)])]);
    expect(await say(await client(port), 'one')).toBe('one');
    await eventually(() => row().state === 'up');
    await sshd.kill();
    await eventually(() => row().state === 'retrying');
    expect([row().lastError?.code !== undefined, row().forwards[0]?.state]).toEqual([true, 'retrying']);
    const held = client(port); // the listener stays, and holds whoever comes meanwhile
    await sshd.start();
    expect(await say(await held, 'two')).toBe('two');
    expect(row()).toMatchObject({ state: 'up', reconnects: 1, lastError: null, nextRetryAt: null });
  });

  test('a reload that adds a forward keeps the open connection and the link', async () => {
    const [port, second] = [await freePort(), await freePort()];
    await supervisor.apply([mail([forward(port)])]);
    const open = await client(port);
    expect(await say(open, 'before')).toBe('before');
    await supervisor.apply([mail([forward(port), forward(second)])]);
    expect(await say(await client(second), 'new')).toBe('new');
    expect(await say(open, 'after')).toBe('after');
    await eventually(() => sshd.logins > 0); // the server's log takes a way of its own
    expect([sshd.logins, row().forwards.map(({ openConnections }) => openConnections)]).toEqual([1, [1, 1]]);
  });

  test('a reload that takes a forward away frees its port and lets its connection end by itself', async () => {
    const [port, other] = [await freePort(), await freePort()];
    await supervisor.apply([mail([forward(port), forward(other)])]);
    const open = await client(port);
    expect(await say(open, 'before')).toBe('before');
    await supervisor.apply([mail([forward(other)])]);
    await expect(client(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await say(open, 'after')).toBe('after');
    expect(row()).toMatchObject({ leavingConnections: 1, forwards: [{ openConnections: 0 }] });
    const told = heard(supervisor);
    open.destroy();
    await eventually(() => {
      return told.some((event) => event.event === 'tunnel' && event.status.leavingConnections === undefined);
    });
    expect(row()).not.toHaveProperty('leavingConnections');
  });

  test('a forward whose target changes is served at the same port at once', async () => {
    const port = await freePort();
    await supervisor.apply([mail([forward(port)])]);
    const open = await client(port);
    expect(await say(open, 'old')).toBe('old');
    const other = createServer((socket) => socket.end('another target\n'));
    const changed = {
      ...forward(port),
      target: { kind: 'tcp', host: '127.0.0.1', port: await listening(other) },
    } as const;
    await supervisor.apply([mail([changed])]);
    expect(await firstLine(await client(port))).toBe('another target');
    expect(await say(open, 'still here')).toBe('still here');
    other.close();
  });

  test('a changed server is dialled before the old link is left, and the open connection lives on', async () => {
    const other = await startSshd();
    try {
      const port = await freePort();
      await supervisor.apply([mail([forward(port)])]);
      const open = await client(port);
      expect(await say(open, 'before')).toBe('before');
      await supervisor.apply([{ ...mail([forward(port)], other) }]);
      await eventually(() => other.logins === 1 && row().reconnects === 1);
      expect(await say(open, 'over the old')).toBe('over the old');
      expect(await say(await client(port), 'over the new')).toBe('over the new');
      open.destroy();
    } finally {
      await supervisor.close(0);
      await other.stop();
    }
  });

  test('a refused login is failed, nothing listens, and the next try starts from the beginning', async () => {
    const port = await freePort();
    const stranger = `${sshd.dir}/stranger`;
    await makeKey(stranger, 'ed25519');
    const refused = mail([forward(port)]);
    const hops = refused.hops.map((hop) => ({ ...hop, identities: [{ file: stranger, explicit: true }] }));
    await supervisor.apply([{ ...refused, hops }]);
    await eventually(() => row().state === 'failed');
    expect([row().lastError?.code, row().forwards[0]?.state]).toEqual(['LOGIN_REFUSED', 'failed']);
    await expect(client(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await supervisor.apply([mail([forward(port)])]);
    expect(await say(await client(port), 'in')).toBe('in');
  });

  test('an unknown host key with nobody to ask is failed; somebody who attends is asked, and is let in', async () => {
    const port = await freePort();
    const plan = mail([forward(port)]);
    const knownHosts = [`${sshd.dir}/nobody_known`];
    const unknown = { ...plan, hops: plan.hops.map((hop) => ({ ...hop, knownHosts })) };
    await supervisor.start(unknown);
    await eventually(() => row().state === 'failed');
    expect(row().lastError?.code).toBe('HOST_KEY_UNKNOWN');
    const asked: OpenQuestion[] = [];
    const person = { ask: (question: OpenQuestion) => void asked.push(question), withdrawn: () => undefined };
    supervisor.attend(null, person);
    await supervisor.start(unknown);
    await eventually(() => row().state === 'waiting');
    expect(asked.map(({ tunnel, kind }) => [tunnel, kind])).toEqual([['mail', 'host-key']]);
    supervisor.questions.answer(asked[0]?.id ?? '', 'yes', person);
    expect(await say(await client(port), 'trusted')).toBe('trusted');
  });

  test('a taken port leaves the other forwards serving, names its holder, and is bound once it is free', async () => {
    unhurriedSearch();
    const port = await freePort();
    const holder = createServer();
    const taken = await listening(holder);
    await supervisor.apply([mail([forward(port), forward(taken)])]);
    expect(await say(await client(port), 'served')).toBe('served');
    // The holder is looked up while the other forward serves already.
    await eventually(() => row().state === 'retrying' && row().forwards[1]?.lastError !== null);
    expect(row().forwards.map(({ state, lastError }) => [state, lastError?.code])).toEqual([
      ['up', undefined],
      ['retrying', 'BIND_IN_USE'],
    ]);
    expect(row().forwards[1]?.lastError?.message).toContain('held by this process itself');
    await new Promise((resolve) => holder.close(resolve));
    await eventually(() => row().state === 'up' && sshd.logins > 0);
    expect(sshd.logins).toBe(1);
  });

  test('a port that another tunnel has is said to be that tunnel’s', async () => {
    const port = await freePort();
    await supervisor.apply([mail([forward(port)])]);
    await say(await client(port), 'up');
    await supervisor.start({ ...mail([forward(port)]), name: 'other' });
    const error = await eventually(() => supervisor.snapshot().tunnels[1]?.forwards[0]?.lastError ?? undefined);
    expect(error).toMatchObject({
      code: 'BIND_IN_USE',
      hint: 'Give one of them another port, or stop the other with `tunnel down mail`.',
    });
    expect(error.message).toContain(`(held by the forward pop${port} of mail)`);
  });

  test('stop drains: the listener goes at once, the open connection ends by itself', async () => {
    const port = await freePort();
    await supervisor.apply([mail([forward(port)])]);
    const open = await client(port);
    expect(await say(open, 'before')).toBe('before');
    const stopped = supervisor.stop('mail', 10_000);
    await eventually(() => row().state === 'stopping');
    await expect(client(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await say(open, 'draining')).toBe('draining');
    open.end();
    await stopped;
    expect(supervisor.snapshot().tunnels).toEqual([]);
  });
});

function mail(forwards: readonly ForwardPlan[], server: TestSshd = sshd): Plan {
  const hop = aHop({
    label: server.address,
    host: '127.0.0.1',
    port: server.port,
    user: server.user,
    hostKeyName: '127.0.0.1',
    identities: [{ file: server.identityFile, explicit: true }],
    knownHosts: [server.knownHostsFile],
  });
  return aTunnelPlan({ name: 'mail', file: '', hops: [hop], forwards });
}

function forward(port: number): LocalForwardPlan {
  return { ...aForward(port), target: { kind: 'tcp', host: '127.0.0.1', port: targetPort } };
}

function row(): TunnelStatus {
  const [status] = supervisor.snapshot().tunnels;
  if (status === undefined) throw new Error('No tunnel runs');
  return status;
}

function listening(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(address !== null && typeof address === 'object' ? address.port : 0);
    });
  });
}

function client(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    clients.push(socket.on('error', reject));
  });
}

/** Says a line and resolves with the next one that comes back. */
function say(socket: Socket, line: string): Promise<string> {
  socket.write(`${line}\n`);
  return firstLine(socket);
}

function firstLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('\n')) resolve(text.trimEnd());
    });
    socket.once('close', () => reject(new Error(`Closed after ${JSON.stringify(text)}`)));
  });
}
