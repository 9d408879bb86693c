import { appendKnownHost } from './files/known-hosts-append.ts';
import { readKnownHosts } from './files/known-hosts.ts';
import { matchesHost } from './known-hosts/match.ts';
import { NO_KNOWN_HOSTS, type KnownHost, type KnownHosts } from './known-hosts/parse.ts';
import type { Ask } from './link/ask.ts';
import type { DialRequest } from './link/transport.ts';
import { TunnelError } from './model/failure.ts';
import type { HopPlan } from './model/plan.ts';
import { Secret } from './model/secret.ts';
import { createDial, type SecretReader } from './ssh/dial.ts';
import { hostKeyNames } from './ssh/host-key.ts';

/** What a host shows, and how known_hosts stands to it. */
export type OfferedHostKey =
  /** Trusted already; `entries` are the keys that known_hosts has for it. */
  | { readonly kind: 'known'; readonly name: string; readonly entries: readonly KnownHost[] }
  /** To be appended to `file` under `name`, once a person has said yes. */
  | {
      readonly kind: 'new';
      readonly name: string;
      readonly key: Buffer;
      readonly file: string;
      readonly hashed: boolean;
    };

/**
 * Connects to the last hop for its host key, and leaves before the login. Hops before it log in as ever, and ask.
 * Rejects as a dial does: a changed or revoked key is HOST_KEY_CHANGED or HOST_KEY_REVOKED.
 */
export async function offeredHostKey(request: DialRequest, readSecret: SecretReader): Promise<OfferedHostKey> {
  const last = request.hops.at(-1);
  const [file] = last?.knownHosts ?? [];
  if (last === undefined || file === undefined)
    throw new TypeError('A host key belongs to a hop with a known_hosts file');
  const { name } = hostKeyNames(last);
  let known: KnownHosts = NO_KNOWN_HOSTS;
  let offered: OfferedHostKey | undefined;
  const enough = new AbortController();
  const dial = createDial({
    readSecret,
    hostKeys: {
      read: async (files) => (known = await readKnownHosts(files)),
      append: async (into, under, key, hashed) => {
        if (under !== name) return appendKnownHost(into, under, key, hashed);
        offered = { kind: 'new', name, key, file: into, hashed };
      },
    },
  });
  try {
    const transport = await dial({
      ...request,
      hops: [...request.hops.slice(0, -1), { ...last, hostKey: { kind: 'strict' } }],
      ask: yesFor(name, request.ask),
      // The login would say that it recorded the key, which is for the caller to do, or not.
      onNote: (note) => (offered === undefined ? request.onNote(note) : undefined),
      onPhase: (phase) => {
        // What is new is recorded in the same turn, after this call.
        if (phase === 'authenticating') setImmediate(() => enough.abort(LEFT));
      },
      signal: AbortSignal.any([request.signal, enough.signal]),
    });
    transport.close();
  } catch (thrown) {
    if (!enough.signal.aborted || request.signal.aborted) throw thrown;
  }
  return offered ?? { kind: 'known', name, entries: entriesOf(known, last) };
}

const LEFT = new TunnelError('STOPPED', 'The host key is all that was wanted');

/** The question about this host is put later, with the whole key at hand; the others go to the person. */
function yesFor(name: string, ask: Ask): Ask {
  return (question, signal) =>
    question.kind === 'host-key' && question.subject === name
      ? Promise.resolve(new Secret('yes'))
      : ask(question, signal);
}

function entriesOf({ entries }: KnownHosts, hop: HopPlan): readonly KnownHost[] {
  const { name, fallbackName } = hostKeyNames(hop);
  return entries.filter(
    ({ marker, hosts }) => marker === 'none' && (matchesHost(hosts, name) || matchesHost(hosts, fallbackName)),
  );
}
