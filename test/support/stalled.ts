import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { eventually } from './eventually.ts';

/**
 * A listener that lets nobody in until it is released: its queue is full, so that a connection attempt hangs without an answer.
 * It ends with the test.
 */
export async function stalled(host: string): Promise<{ readonly port: number; readonly release: () => void }> {
  const script = fileURLToPath(new URL('stalled-listener.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, host], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const port = await new Promise<number>((resolve) =>
    child.stdout.once('data', (text: Buffer) => resolve(Number(text))),
  );
  const fillers = Array.from({ length: 4 }, () => connect(port, host).on('error', () => undefined));
  onTestFinished(() => fillers.forEach((socket) => socket.destroy()));
  await eventually(() => fillers.filter((socket) => !socket.connecting).length >= 2);
  return { port, release: () => void child.stdin.write('x') };
}
