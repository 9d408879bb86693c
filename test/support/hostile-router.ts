import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Gateway } from '../../src/router/mapping-protocol.ts';

/** This machine, as a router that is asked from this machine. */
export const LOOPBACK: Gateway = { address: '127.0.0.1', local: '127.0.0.1' };

/** A UDP socket of a router (or of somebody else) that does with each datagram what a test says. */
export class UdpPeer {
  readonly #socket: Socket;
  readonly port: number;
  received = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
  }

  static async bind(
    address: string,
    onAsked: (message: Buffer, answer: (bytes: Buffer) => void, from: RemoteInfo) => void,
  ): Promise<UdpPeer> {
    const socket = createSocket('udp4');
    socket.bind(0, address);
    await once(socket, 'listening');
    const peer = new UdpPeer(socket);
    socket.on('message', (message, from) => {
      peer.received += 1;
      onAsked(message, (bytes) => peer.send(bytes, from.port, from.address), from);
    });
    return peer;
  }

  send(bytes: Buffer, port: number, address: string): void {
    this.#socket.send(bytes, port, address, () => undefined); // a peer that has given up is no failure
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }
}

export type Serve = (path: string, body: string, action: string, response: ServerResponse) => void;

/** A router's SSDP and HTTP on loopback, whose answers are a test's. */
export class UpnpPeer {
  readonly #server: Server;
  readonly #ssdp: UdpPeer;
  /** Actions and paths that were asked for, in order. */
  readonly asked: string[];

  private constructor(server: Server, ssdp: UdpPeer, asked: string[]) {
    this.#server = server;
    this.#ssdp = ssdp;
    this.asked = asked;
  }

  static async start(serve: Serve, location?: (port: number) => string): Promise<UpnpPeer> {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        const action = /#(\w+)/.exec(String(request.headers['soapaction']))?.[1] ?? '';
        asked.push(action === '' ? (request.url ?? '') : action);
        serve(request.url ?? '', body, action, response);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const at = location?.(port) ?? `http://127.0.0.1:${port}/desc.xml`;
    const ssdp = await UdpPeer.bind('127.0.0.1', (_message, answer) => {
      answer(Buffer.from(`HTTP/1.1 200 OK\r\nLOCATION: ${at}\r\n\r\n`));
    });
    return new UpnpPeer(server, ssdp, asked);
  }

  get ssdpPort(): number {
    return this.#ssdp.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ssdp[Symbol.asyncDispose]();
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

/** A description with one service of this version, at `/ctl`. */
export function description(version: 1 | 2): string {
  return `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:${version}</serviceType><controlURL>/ctl</controlURL></service></serviceList></device></root>`;
}

export function soapAnswer(action: string, values: Readonly<Record<string, string | number>>): string {
  const inner = Object.entries(values).map(([name, value]) => `<${name}>${value}</${name}>`);
  return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:${action}Response xmlns:u="x">${inner.join('')}</u:${action}Response></s:Body></s:Envelope>`;
}

export function soapFault(code: number): string {
  return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><detail><UPnPError><errorCode>${code}</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>`;
}
