import { connect } from 'node:net';
import { cleanLine } from '../../model/clean.ts';
import { FAILURES } from '../../model/failure.ts';
import type { KeptMapping, MapRequest, PortMapper } from '../../model/mapping.ts';
import type { Context } from '../context.ts';
import { keptLines } from '../render/router.ts';

interface Kept {
  readonly request: MapRequest;
  readonly mapping: KeptMapping;
}

/**
 * Keeps these mappings until a signal, and gives them back. @returns 0 after SIGTERM, 130 after Ctrl-C
 * @param local our address towards the router
 * @throws what the router said where it granted none of them
 */
export async function keepMappings(
  requests: readonly MapRequest[],
  { mapper, local }: { readonly mapper: PortMapper; readonly local: string },
  context: Context,
): Promise<number> {
  const { signal, out } = context;
  let look = (): void => undefined;
  const kept = requests.map((request): Kept => keep(request, mapper, context, () => look()));
  try {
    await new Promise<void>((resolve) => {
      look = () => kept.every(({ mapping }) => mapping.facts.state !== 'asking') && resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
      look();
    });
    const failures = kept.flatMap(({ mapping }) =>
      mapping.facts.state === 'failed' ? (mapping.facts.error ?? []) : [],
    );
    const [first] = failures;
    if (first !== undefined && failures.length === kept.length && !signal.aborted) throw first;
    await Promise.all(requests.map((request) => warnOfSilence(request, local, context)));
    if (!signal.aborted) out.say('Kept until Ctrl-C.');
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
  } finally {
    await Promise.all(kept.map(({ mapping }) => mapping.close()));
  }
  return context.interruptedBy() === 'SIGTERM' ? 0 : FAILURES.INTERRUPTED.exit;
}

function keep(request: MapRequest, mapper: PortMapper, context: Context, onChange: () => void): Kept {
  const { out, json } = context;
  let told = '';
  const tell = (): void => {
    const { facts } = mapping;
    if (facts.state === 'asking') return;
    const lines = json ? [JSON.stringify(mappingJson(request, mapping))] : keptLines(request, facts, out.theme);
    const text = lines.join('\n');
    if (text !== told) out.data(text);
    told = text;
  };
  const mapping = mapper.keep(request, {
    onChange: () =>
      queueMicrotask(() => {
        tell();
        onChange();
      }),
    onNote: (level, message) => (level === 'warn' ? out.say(cleanLine(message)) : out.detail(cleanLine(message))),
  });
  return { request, mapping };
}

/** One line a change: what `status --json` says of a forward's `map`, with its own end. */
function mappingJson({ protocol, externalPort, internalPort }: MapRequest, { facts }: KeptMapping): unknown {
  const { state, way, router, external, expiresAtMs, error } = facts;
  return {
    version: 1,
    event: 'mapping',
    state,
    port: externalPort,
    protocol,
    internalPort,
    external: external === null ? null : `${external.host}:${external.port}`,
    way,
    router,
    expiresAt: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(),
    lastError: error === null ? null : error.facts,
  };
}

/** A mapping to a port where nobody listens is most likely a slip. */
async function warnOfSilence({ protocol, internalPort }: MapRequest, local: string, { out }: Context): Promise<void> {
  if (protocol === 'udp' || (await answers(local, internalPort))) return;
  out.warn(`Nothing listens at ${local}:${internalPort}: the router does not reach what listens on localhost alone`);
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: ANSWER_WITHIN_MS });
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

/** It is this machine: whoever listens answers at once. */
const ANSWER_WITHIN_MS = 1_000;
