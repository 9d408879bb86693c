/** The same faults for every tool, with the promise that each is held against (figures of the fault list that peers were measured with). */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { residentMb } from '../bench/measure.ts';
import { ask } from '../support/clients.ts';
import { TcpTarget } from '../support/tcp-target.ts';
import type { Stage, Visited } from './stage.ts';
import { pause, stay, visit } from './visitors.ts';

/** What a tool showed: in words, and whether that keeps the promise. */
export interface Shown {
  readonly text: string;
  readonly kept: boolean;
}

export interface Case {
  readonly fault: string;
  readonly promise: string;
  run(stage: Stage): Promise<Shown>;
}

const OUTAGE_MS = 5_000;
const BLACK_HOLE_MS = 20_000;
/** Nobody waits for a tool that has not come back by then. */
const LONGEST_MS = 30_000;

export const CASES: readonly Case[] = [
  {
    fault: 'sshd is killed, back after 5 s',
    promise: 'serves within 2 s of its return, nobody refused',
    async run(stage) {
      const seen = await stage.visited(async () => {
        await stage.path.refuse();
        await stage.sshd.kill();
        await pause(OUTAGE_MS);
        await stage.sshd.start();
        await stage.path.heal();
      }, LONGEST_MS);
      return back(seen, 2_000);
    },
  },
  {
    fault: 'the connection is reset',
    promise: 'serves again within 0.3 s, nobody refused',
    async run(stage) {
      const seen = await stage.visited(() => Promise.resolve(stage.path.reset()), LONGEST_MS);
      return back(seen, 300);
    },
  },
  {
    fault: 'the path loses everything for 20 s',
    promise: 'an open connection is told within 9 s; serves within 3 s of healing, nobody refused',
    async run(stage) {
      const open = await stay(stage.port);
      const startedAtMs = performance.now();
      let toldMs: number | undefined;
      open.once('close', () => (toldMs = performance.now() - startedAtMs));
      const seen = await stage.visited(async () => {
        stage.path.drop();
        await pause(BLACK_HOLE_MS);
        await stage.path.heal();
      }, LONGEST_MS);
      open.destroy();
      const { text, kept } = back(seen, 3_000);
      return { text: `${timed('told', toldMs)}; ${text}`, kept: kept && toldMs !== undefined && toldMs < 9_000 };
    },
  },
  {
    fault: 'the server stands still (SIGSTOP) for 20 s',
    promise: 'serves within 3 s of its going on, nobody refused',
    async run(stage) {
      const seen = await stage.visited(async () => {
        await stage.sshd.freeze();
        await pause(BLACK_HOLE_MS);
        await stage.sshd.thaw();
      }, LONGEST_MS);
      return back(seen, 3_000);
    },
  },
  {
    fault: 'bytes are held back for 4 s',
    promise: 'an open connection lives on',
    async run(stage) {
      const open = await stay(stage.port);
      stage.path.stall();
      await pause(4_000);
      await stage.path.heal();
      const echoed = once(open, 'data');
      open.write('y');
      const kept = await Promise.race([echoed.then(() => true), pause(5_000).then(() => false)]);
      open.destroy();
      return { text: kept ? 'it lives on' : 'it is lost', kept };
    },
  },
  {
    fault: 'link up 1.3 s, down 0.7 s, 20 times',
    promise: 'at least 18 of 20 windows served, serves within 2 s of the last, at most 25 logins',
    async run(stage) {
      const loginsBefore = stage.sshd.logins;
      let windows = 0;
      const seen = await stage.visited(async () => {
        for (let time = 0; time < 20; time += 1) {
          await stage.path.refuse();
          await pause(700);
          await stage.path.heal();
          if (await servedWithin(stage, 1_300)) windows += 1;
        }
      }, LONGEST_MS);
      const logins = stage.sshd.logins - loginsBefore;
      const soon = seen.backMs !== undefined && seen.backMs <= 2_000;
      const text = `${windows} of 20 windows, ${timed('back', seen.backMs)}, ${logins} logins`;
      return { text, kept: windows >= 18 && soon && logins <= 25 };
    },
  },
  {
    fault: 'the service behind it refuses',
    promise: 'the client is told within 50 ms, the tunnel goes on',
    async run(stage) {
      const { port } = stage.target;
      await stage.target.close();
      const { startedAtMs, endedAtMs, end } = await stage.visit();
      const again = await TcpTarget.start((socket) => void socket.pipe(socket), '127.0.0.1', port);
      const goesOn = await stage.servesWithin(3_000);
      await again.close();
      const tookMs = endedAtMs - startedAtMs;
      const text = `${end} after ${tookMs.toFixed(1)} ms, the tunnel ${goesOn ? 'goes on' : 'is gone'}`;
      return { text, kept: end === 'cut' && tookMs <= 50 && goesOn };
    },
  },
  {
    fault: 'the server comes back with another host key',
    promise: 'one connection, no login, then it stops and says so',
    async run(stage) {
      await stage.path.refuse();
      await stage.sshd.kill();
      await stage.sshd.changeHostKey();
      const before = stage.sshd.connections;
      await stage.sshd.start();
      await stage.path.heal();
      await pause(10_000);
      // the starter's own look at the port is one of them
      const connections = stage.sshd.connections - before - 1;
      const told = /host key/i.test(stage.running.said);
      return {
        text: `${connections} connections in 10 s, ${told ? 'says so' : 'says nothing of it'}`,
        kept: connections <= 1 && told,
      };
    },
  },
  {
    fault: 'the key is no longer accepted',
    // A link that worked gets one more try: servers refuse for a while too, while they boot or their directory is away.
    promise: 'at most two connections, the second 10 s later or more, then it stops and says so',
    async run(stage) {
      await writeFile(stage.sshd.authorizedKeysFile, '');
      const fromMs = performance.now();
      await stage.sshd.killSessions();
      await pause(40_000);
      const times = stage.sshd.timesOf(/^Connection from /).filter((atMs) => atMs > fromMs);
      const closest = Math.min(...times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0)));
      const told = /permission denied|login|authenticat/i.test(stage.running.said);
      const apart = times.length > 1 ? `, ${(closest / 1_000).toFixed(1)} s apart at least` : '';
      return {
        text: `${times.length} connections in 40 s${apart}, ${told ? 'says so' : 'says nothing of it'}`,
        kept: times.length <= 2 && closest >= 10_000 && told,
      };
    },
  },
  {
    fault: 'the tool itself is killed (SIGKILL) and started again',
    promise: 'nothing holds the port, serves within 5 s',
    async run(stage) {
      await stage.running.crash();
      const left = (await visit(stage.port)).end !== 'refused';
      await stage.startAgain();
      const servedMs = await stage.servedAfterMs(5_000);
      const mine = (await stage.running.pids()).length > 0;
      const text = left ? 'an orphan keeps the port' : timed('serves', servedMs);
      return { text, kept: !left && mine && servedMs !== undefined };
    },
  },
  {
    fault: 'a client sends, ends its side and reads on',
    promise: 'it gets the whole answer',
    async run(stage) {
      const sent = 'half'.repeat(50_000);
      const kept = (await ask(stage.port, sent)) === sent;
      return { text: kept ? 'the whole answer' : 'a part of it', kept };
    },
  },
  {
    fault: 'a client asks for 200 MB and reads nothing',
    promise: 'at most 64 MB more memory',
    run: slowReader,
  },
];

/** The service's port is taken over by one that pours out bytes for as long as they are taken. */
async function slowReader(stage: Stage): Promise<Shown> {
  const { port } = stage.target;
  await stage.target.close();
  const flood = await TcpTarget.start(pour, '127.0.0.1', port);
  const before = residentMb(await stage.running.pids());
  const stuck = connect({ port: stage.port, host: '127.0.0.1' }).pause();
  await pause(5_000);
  const grown = residentMb(await stage.running.pids()) - before;
  stuck.destroy();
  await flood.close();
  return { text: `${grown.toFixed(0)} MB more`, kept: grown <= 64 };
}

function pour(socket: Socket): void {
  const piece = Buffer.alloc(1 << 20);
  let left = 200;
  const more = (): void => {
    while (left > 0 && socket.writable) {
      left -= 1;
      if (!socket.write(piece)) return;
    }
  };
  socket.on('drain', more);
  more();
}

/** How soon the first client was served after the fault, and how the others fared meanwhile. */
function back({ backMs, visits }: Visited, withinMs: number): Shown {
  const refused = visits.filter(({ end }) => end === 'refused').length;
  const text = `${timed('back', backMs)}, ${refused} of ${visits.length} clients refused`;
  return { text, kept: refused === 0 && backMs !== undefined && backMs <= withinMs };
}

async function servedWithin(stage: Stage, windowMs: number): Promise<boolean> {
  const endsAtMs = performance.now() + windowMs;
  let served = false;
  while (performance.now() < endsAtMs) {
    served ||= (await visit(stage.port, endsAtMs - performance.now())).end === 'served';
    await pause(served ? endsAtMs - performance.now() : 20);
  }
  return served;
}

/** `back after 0.12 s`, or `never back`: not within the time that a case waits. */
function timed(what: string, ms: number | undefined): string {
  return ms === undefined ? `never ${what}` : `${what} after ${(ms / 1_000).toFixed(ms < 1_000 ? 2 : 1)} s`;
}
