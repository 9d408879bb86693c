import { isIP } from 'node:net';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import { TunnelError, type FailureCode } from '../../model/failure.ts';

/** What the system said, in the C library's words: people and scripts look for these. */
const REASONS: Readonly<Record<string, readonly [FailureCode, string]>> = {
  EACCES: ['BIND_DENIED', 'Permission denied'],
  EPERM: ['BIND_DENIED', 'Operation not permitted'],
  EADDRINUSE: ['BIND_IN_USE', 'Address already in use'],
  EADDRNOTAVAIL: ['BIND_UNAVAILABLE', 'Cannot assign requested address'],
  EAFNOSUPPORT: ['BIND_UNAVAILABLE', 'Address family not supported by protocol'],
  ENOTFOUND: ['BIND_UNAVAILABLE', 'Name or service not known'],
  EAI_AGAIN: ['BIND_UNAVAILABLE', 'Temporary failure in name resolution'],
  ENOENT: ['BIND_UNAVAILABLE', 'No such file or directory'],
  ENOTDIR: ['BIND_UNAVAILABLE', 'Not a directory'],
  ENAMETOOLONG: ['BIND_UNAVAILABLE', 'File name too long'],
  EROFS: ['BIND_UNAVAILABLE', 'Read-only file system'],
  EMFILE: ['BIND_UNAVAILABLE', 'Too many open files'],
  ENFILE: ['BIND_UNAVAILABLE', 'Too many open files in system'],
};

/** Where `listen` was refused: the errno's code, and the one address of several that it is about. */
export interface Refusal {
  readonly code: string;
  readonly at: Endpoint;
  readonly cause: unknown;
}

/** Who has an address that is wanted. */
export interface Holder {
  /** Such as `held by nginx (pid 812)`. */
  readonly words: string;
  /** What to do about it, where that is more than to stop a program. */
  readonly hint?: string;
}

/**
 * A refused bind as the error that a person sees. @param bind as the profile says it
 * @param holder undefined where it is unknown who holds it
 */
export function bindFailure(bind: Endpoint, refusal: Refusal, holder?: Holder): TunnelError {
  const [code, why] = REASONS[refusal.code] ?? ['BIND_UNAVAILABLE', refusal.code];
  const who = holder === undefined ? '' : ` (${holder.words})`;
  const message = `Cannot bind ${formatEndpoint(bind)}: ${bindWords(refusal.at)}: ${why}${who}`;
  const hint = holder?.hint ?? bindHint(code, refusal);
  return new TunnelError(code, message, { cause: refusal.cause, ...(hint === undefined ? {} : { hint }) });
}

/** As `ssh -L` puts it: `bind [127.0.0.1]:8080`. */
function bindWords(at: Endpoint): string {
  if (at.kind === 'unix') return `unix_listener: cannot bind to path ${at.path}`;
  return isIP(at.host) === 0 ? `bind ${at.host}:${at.port}` : `bind [${at.host}]:${at.port}`;
}

function bindHint(code: FailureCode, { code: errno, at }: Refusal): string | undefined {
  if (at.kind === 'unix') return unixHint(code, errno);
  if (code === 'BIND_DENIED' && at.port > 0 && at.port < 1024) return privilegedPortHint(at.port, process.platform);
  if (errno === 'EMFILE' || errno === 'ENFILE') return 'Raise the limit of open files (`ulimit -n`).';
  return undefined;
}

function unixHint(code: FailureCode, errno: string): string {
  if (code === 'BIND_IN_USE') return 'Stop the program that listens there, or choose another path.';
  if (errno === 'ENAMETOOLONG') return 'Choose a shorter path: the system takes about 100 bytes for a socket.';
  return 'Choose a path in a folder that exists and that you may write to.';
}

/** Ports below 1024 are root's by default: the three ways out, the plainest first. */
export function privilegedPortHint(port: number, platform: NodeJS.Platform): string {
  const high = `Bind a high port instead, such as ${1000 + port}`;
  const service = 'run tunnel as a system service that may bind it';
  if (platform !== 'linux') return `${high}; or ${service} (\`tunnel service install\`, or launchd).`;
  return (
    `${high}; or allow low ports here with \`sudo sysctl net.ipv4.ip_unprivileged_port_start=${port}\` or ` +
    `\`sudo setcap cap_net_bind_service=+ep ${process.execPath}\`; or ${service} ` +
    '(a unit with `AmbientCapabilities=CAP_NET_BIND_SERVICE`).'
  );
}
