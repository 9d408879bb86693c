import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import type { ForwardPlan } from '../model/plan.ts';

/** What a key must be allowed for the forwards of a profile, in the words of sshd(8), AUTHORIZED_KEYS FILE FORMAT. */
export interface KeyLimits {
  /** Values of `permitopen`, one at least. */
  readonly opens: readonly string[];
  /** Values of `permitlisten`, one at least. */
  readonly listens: readonly string[];
  /** What the key can do beyond the forwards themselves, since the words allow no less: a sentence each. */
  readonly notes: readonly string[];
}

/**
 * The words know no "none": without any, every target is allowed. So it is a name that never resolves (RFC 6761 section
 * 6.4), at a port that only root may listen on.
 */
export const NOTHING = 'nothing.invalid:1';
/** Both words match any host by `*` and any port by `*` (channels.c, open_match). */
export const ANYTHING = '*:*';

/** Undefined where no forward needs SSH: then there is nothing to allow. */
export function keyLimits(forwards: readonly ForwardPlan[]): KeyLimits | undefined {
  const tunnelled = forwards.filter(({ kind }) => kind !== 'relay');
  if (tunnelled.length === 0) return undefined;
  return {
    opens: permits(tunnelled.flatMap(opened)),
    listens: permits(tunnelled.flatMap(listenedAt)),
    notes: [...tunnelled.flatMap((forward) => [...wideNotes(forward)]), socketNote(tunnelled)],
  };
}

/** The targets that the server connects to for a forward; `any` where each client names its own. */
export function opened(forward: ForwardPlan): readonly (Endpoint | 'any')[] {
  switch (forward.kind) {
    case 'local':
    case 'trigger':
      return [forward.target];
    case 'socks':
      return ['any'];
    case 'remote':
    case 'remote-socks':
    case 'relay':
      return [];
  }
}

/** Where the server listens for a forward. */
export function listenedAt(forward: ForwardPlan): readonly Endpoint[] {
  switch (forward.kind) {
    case 'remote':
    case 'remote-socks':
      return [forward.bind];
    case 'trigger':
      return forward.opens.map(({ bind }) => bind);
    case 'local':
    case 'socks':
    case 'relay':
      return [];
  }
}

/** As jump hosts are to allow it: the way to the next hop, and nothing else. */
export function jumpPermit(next: { readonly host: string; readonly port: number }): string {
  return formatEndpoint({ kind: 'tcp', ...next });
}

function permits(ends: readonly (Endpoint | 'any')[]): readonly string[] {
  if (ends.includes('any')) return [ANYTHING]; // next to it the others say nothing
  const named = ends.flatMap((end) => (end === 'any' || end.kind === 'unix' ? [] : [permitOf(end)]));
  return named.length === 0 ? [NOTHING] : [...new Set(named)];
}

/** sshd compares letter by letter with what is asked for; a free port is asked for as 0, and none is written so. */
function permitOf(end: Endpoint & { readonly kind: 'tcp' }): string {
  return end.port === 0 ? formatEndpoint({ ...end, port: 1 }).replace(/1$/, '*') : formatEndpoint(end);
}

function* wideNotes(forward: ForwardPlan): Generator<string> {
  if (opened(forward).includes('any')) {
    yield `${forward.name} is a proxy, so permitopen="${ANYTHING}" opens every host and port that the server can reach.`;
  }
  for (const bind of listenedAt(forward)) {
    if (bind.kind === 'unix' || bind.port !== 0) continue;
    yield `${forward.name} has the server choose its port, so permitlisten="${permitOf(bind)}" allows each of them.`;
  }
}

/** auth-options.c has no streamlocal words: `port-forwarding` opens sockets to whoever may open ports. */
function socketNote(forwards: readonly ForwardPlan[]): string {
  const ends = forwards.flatMap((forward) => [...opened(forward), ...listenedAt(forward)]);
  const paths = ends.flatMap((end) => (end !== 'any' && end.kind === 'unix' ? [end.path] : []));
  const every = 'each Unix socket that the account may use';
  if (paths.length === 0) {
    return `No word of authorized_keys limits Unix sockets: the key opens ${every}, unless sshd_config says \`AllowStreamLocalForwarding no\`.`;
  }
  return `No word of authorized_keys limits Unix sockets: beside ${[...new Set(paths)].join(', ')} the key opens ${every}.`;
}
