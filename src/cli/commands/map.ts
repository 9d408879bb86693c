import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import type { RouterView } from '../../model/mapping.ts';
import type { Run } from '../command.ts';
import { keepMappings } from '../map/keep-mappings.ts';
import { mapRequest, waysOf } from '../map/map-request.ts';
import { routerLines } from '../render/router.ts';

/** `tunnel map`: what the router says of itself; with ports, mappings that are kept until Ctrl-C. */
export const run: Run = async (words, options, context) => {
  const requests = words.map(mapRequest);
  const ways = waysOf(options.text('by'));
  const leaseMs = options.durationMs('lease', DEFAULT_LEASE_MS);
  if (leaseMs < SHORTEST_LEASE_MS) throw new TunnelError('USAGE', 'Cannot ask for a lease of less than 2s');
  const { composeRouter } = await import('../../compose-router.ts');
  const { paths, out, signal } = context;
  const onNote = (message: string): void => out.warn(cleanLine(message));
  const router = composeRouter({ paths, onNote, ways, leaseSeconds: Math.ceil(leaseMs / 1_000) });
  if (requests.length > 0) {
    return keepMappings(requests, { mapper: router, local: await router.localAddress() }, context);
  }
  const view = await router.survey(signal);
  if (context.json) out.json(viewJson(view));
  else for (const line of routerLines(view, out.theme)) out.data(line);
  return 0;
};

/** RFC 6886 section 3.3. */
const DEFAULT_LEASE_MS = 7_200_000;
const SHORTEST_LEASE_MS = 2_000;

function viewJson({ router, local, external, ways, mappings, error }: RouterView): unknown {
  return {
    version: 1,
    router,
    local,
    external,
    ways: ways.map(({ way, answers }) => ({ way, answers })),
    mappings,
    lastError: error === null ? null : error.facts,
  };
}
