import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { bindsOverlap } from '../../model/overlap.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import type { PortFacts } from './ports.ts';

/** @param others bind addresses of the profiles that are there already */
export function portFacts(others: readonly Endpoint[]): PortFacts {
  return {
    lowest: lowestPort(),
    free: async (port) => {
      const bind: Endpoint = { kind: 'tcp', host: 'localhost', port };
      if (others.some((other) => bindsOverlap(bind, other))) return false;
      return (await canBind('127.0.0.1', port)) && (await canBind('::1', port));
    },
  };
}

/** Linux lets an administrator lower it; Windows knows no such ports. */
function lowestPort(): number {
  if (process.platform === 'win32' || process.geteuid?.() === 0) return 0;
  try {
    const text = readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8').trim();
    if (/^\d{1,5}$/.test(text)) return Number(text);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return 1024;
}

/** True also where the machine lacks the address at all (no IPv6): `localhost` leaves it out then. */
function canBind(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT');
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES');
}
