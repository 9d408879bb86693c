import { execFile } from 'node:child_process';

export interface Fetched {
  /** 0, or one of curl(1)'s exit codes: 97 is a proxy that refused, 56 a failed CONNECT. */
  readonly code: number;
  readonly body: string;
  /** What curl complained of. */
  readonly said: string;
}

/** Runs the real curl, with no proxy and no configuration but what the arguments say. */
export function curl(...args: readonly string[]): Promise<Fetched> {
  return new Promise((resolve) => {
    const all = ['-q', '-sS', '--max-time', '20', ...args];
    execFile('curl', all, { env: { PATH: process.env['PATH'] ?? '' } }, (error, stdout, stderr) => {
      resolve({
        code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1,
        body: stdout,
        said: stderr,
      });
    });
  });
}
