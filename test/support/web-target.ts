import { once } from 'node:events';
import { createServer, type Server } from 'node:http';

/** A web service on a free loopback port that answers `served PATH`. The caller closes it: `await using`. */
export class WebTarget {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<WebTarget> {
    const server = createServer((request, response) => response.end(`served ${request.url ?? ''}`));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new WebTarget(server);
  }

  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
