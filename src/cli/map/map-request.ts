import { TunnelError } from '../../model/failure.ts';
import { MAPPING_WAYS, type MappingWay, type MapRequest } from '../../model/mapping.ts';
import { didYouMean } from '../../model/nearest.ts';

/** Reads `8080`, `80:8080`, `5000/udp`: the port of the router, the port here, the protocol. @throws USAGE */
export function mapRequest(word: string): MapRequest {
  const [, outer, inner = '', kind = 'tcp'] = /^(?:(\d+):)?(\d+)(?:\/(tcp|udp))?$/.exec(word) ?? [];
  const [internalPort, externalPort] = [Number(inner), Number(outer ?? inner)];
  if (!isPort(internalPort) || !isPort(externalPort)) {
    throw new TunnelError('USAGE', `Cannot read ${word}: not a port of 1 to 65535`, {
      hint: 'Write 8080, 80:8080 (the port of the router first), or 5000/udp.',
    });
  }
  const protocol = kind === 'udp' ? 'udp' : 'tcp';
  return { protocol, externalPort, internalPort, internalHost: null, description: 'tunnel map' };
}

/** What `--by` names. @throws USAGE */
export function waysOf(text: string | undefined): readonly MappingWay[] {
  if (text === undefined) return MAPPING_WAYS;
  const named = MAPPING_WAYS.filter((way) => way.toLowerCase() === text.toLowerCase());
  if (named.length > 0) return named;
  const known = MAPPING_WAYS.map((way) => way.toLowerCase());
  throw new TunnelError('USAGE', `Cannot read --by ${text}: not one of ${known.join(', ')}${didYouMean(text, known)}`);
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535;
}
