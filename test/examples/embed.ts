// A program that brings its own tunnel, does its work through it, and takes it down again.
// Run it with the path of a profile: `npx tsx test/examples/embed.ts ./pop-mail.yaml`
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { compose, TunnelSupervisor, type TunnelStatus } from '../../src/index.ts'; // in your program: from 'tunnel'

/** Brings the profile up, reads the service's first line through its first forward, and takes it down. */
export async function greeting(profile: string, home: string): Promise<string> {
  const supervisor = new TunnelSupervisor(compose({ env: { ...process.env, TUNNEL_HOME: home } }));
  try {
    const { name } = await supervisor.start(resolve(profile));
    const { forwards } = await up(supervisor, name);
    return await firstLine(forwards[0]?.bind ?? '');
  } finally {
    await supervisor.close();
  }
}

/** Resolves once the tunnel is up; rejects when it has failed or waits for a person. */
function up(supervisor: TunnelSupervisor, name: string): Promise<TunnelStatus> {
  return new Promise((resolve, reject) => {
    const look = (status: TunnelStatus | undefined): void => {
      if (status?.state === 'up') resolve(status);
      if (status?.state === 'failed' || status?.state === 'waiting') reject(new Error(status.lastError?.message));
    };
    supervisor.subscribe((event) => {
      if (event.event === 'tunnel' && event.tunnel === name) look(event.status);
    });
    look(supervisor.snapshot().tunnels.find((tunnel) => tunnel.name === name));
  });
}

function firstLine(bind: string): Promise<string> {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(bind) ?? [];
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host, () => undefined);
    socket.once('data', (data) => {
      resolve(data.toString().trimEnd());
      socket.end();
    });
    socket.once('error', reject);
  });
}

if (process.argv[1]?.endsWith('embed.ts') === true) {
  console.log(
    await greeting(process.argv[2] ?? 'profiles/pop-mail.yaml', process.env['TUNNEL_HOME'] ?? '/tmp/tunnel-embed'),
  );
}
