import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { wireString, wireUint32 } from '../../src/model/wire.ts';
import { ask } from '../support/clients.ts';
import { message, MSG, type HostilePeer } from '../support/hostile-peer.ts';
import { hostileServer, type HostileServer } from '../support/hostile-server.ts';
import { readIfThere } from '../support/leaks.ts';
import { tunnelStage } from '../support/tunnel-stage.ts';

type Script = (peer: HostilePeer) => Promise<void>;

const ESCAPES = '\u001b]0;owned\u0007\u001b[2J\u009b31m\r\n{"event":"note","message":"forged"}\u202e';

/** What a server can do to us, each by a tunnel of its own. */
const SCRIPTS: Readonly<Record<string, Script>> = {
  silent: (peer) => peer.ended(),
  endless: async (peer) => {
    while (!peer.socket.destroyed) await peer.pour(Buffer.from(ESCAPES.repeat(50)));
  },
  impostor: async (peer) => {
    await peer.greet();
    await peer.exchange();
    peer.newKeys();
    peer.send(message(MSG.userauthSuccess));
    await peer.ended();
  },
  talkative: async (peer) => {
    await peer.begin();
    peer.send(message(MSG.userauthBanner, wireString(ESCAPES.repeat(200)), wireString('')));
    peer.send(message(MSG.disconnect, wireUint32(2), wireString(ESCAPES), wireString('')));
    await peer.ended();
  },
  tiny: async (peer) => {
    await peer.admit();
    await peer.confirm({ packet: 0 });
  },
  greedy: async (peer) => {
    await peer.admit();
    peer.socket.pause();
    const open = message(MSG.channelOpen, wireString('x11'), ...[5, 2 ** 20, 32_768].map(wireUint32));
    const one = Buffer.concat([open, wireString('::1'), wireUint32(1)]);
    while (!peer.socket.destroyed) await peer.pour(...Array.from({ length: 200 }, () => one));
  },
};

test(
  'a supervisor among hostile servers lives, keeps its other tunnels and writes nothing that acts',
  { timeout: 90_000 },
  async () => {
    await using on = await tunnelStage();
    await on.profile('good');
    await on.proves('good');
    const pid = await on.cli.supervisorPid();
    const port = await on.cli.port('good');
    const servers: AsyncDisposable[] = [];
    onTestFinished(async () => {
      for (const server of servers) await server[Symbol.asyncDispose]();
    });

    const said: string[] = [];
    await Promise.all(
      Object.entries(SCRIPTS).map(async ([name, script]) => {
        const server = await hostileServer(script);
        servers.push(server);
        await on.cli.home.profile(name, profileFor(server));
        const { stdout, stderr } = await on.cli.run('up', name, '--wait', '4s');
        said.push(stdout, stderr);
        const ports = await on.cli.port(name).catch(() => 0);
        if (ports > 0) await Promise.race([ask(ports, 'x'.repeat(10_000)).catch(() => ''), ask(port, 'meanwhile')]);
      }),
    );

    expect(await ask(port, 'still there')).toBe('still there');
    expect(await on.cli.supervisorPid()).toBe(pid);
    expect((await on.cli.status('good')).reconnects).toBe(0);
    const { stdout } = await on.cli.ok('status', '--json');
    const entries = await readdir(on.cli.home.stateDir, { recursive: true, withFileTypes: true });
    const compiled = join(on.cli.home.stateDir, 'compiled'); // what Node keeps of our own code, from 22.10 on
    const files = entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .filter((file) => !file.startsWith(compiled));
    const texts = await Promise.all(files.map(async (file) => (await readIfThere(file)).toString()));
    for (const text of [stdout, ...said, ...texts]) expect(text).not.toMatch(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
    const log = texts.filter((_, at) => files[at]?.endsWith('.jsonl')).join('');
    expect(log).toContain('says: ');
    for (const line of log.trim().split('\n'))
      expect(line).toMatch(/^\{"version":1,|^\{"event":"(?!note","message":"forged)/);
  },
);

function profileFor({ port, hostKey }: HostileServer): string {
  return [
    'sshConfig: none',
    `via: [ { host: 127.0.0.1, port: ${port}, user: me, agent: false, hostKey: { fingerprint: ${hostKey.fingerprint} } } ]`,
    'timeouts: { connect: 2s, login: 2s, channel: 2s }',
    'forwards: [ 127.0.0.1:auto -> 127.0.0.1:110 ]\n',
  ].join('\n');
}
