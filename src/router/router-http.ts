import { request } from 'node:http';
import type { Gateway } from './mapping-protocol.ts';

export interface HttpAsk {
  readonly url: URL;
  readonly gateway: Gateway;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal;
}

/** A description with all its services has some 10 kB. */
const LONGEST = 256 * 1024;

/**
 * Asks the router over HTTP. Rejects where the connection fails, the answer is too long, or `signal` says so; a
 * redirection is not followed, and the status is the caller's to judge.
 */
export function askHttp({
  url,
  gateway,
  method,
  headers,
  body,
  signal,
}: HttpAsk): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      method,
      headers: { ...headers, Connection: 'close' },
      agent: false,
      localAddress: gateway.local,
      signal,
    };
    const asked = request(url, options, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > LONGEST) asked.destroy(new Error(`The answer is longer than ${LONGEST} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') });
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}
