import { formatDuration } from '../model/duration.ts';
import type { TunnelError } from '../model/failure.ts';
import type { MappingFacts, MappingListener, MapRequest } from '../model/mapping.ts';

type Note = Parameters<MappingListener['onNote']>;

/** What a grant has to say to a person: nothing where it was renewed as it was. @param leaseMs null: until it is removed */
export function grantNotes(
  request: MapRequest,
  before: MappingFacts,
  now: MappingFacts,
  leaseMs: number | null,
): Note[] {
  const { external, error } = now;
  const known = before.external?.host === external?.host && before.external?.port === external?.port;
  if (external === null || (known && before.state === now.state)) return [];
  const { protocol, externalPort: wished, internalPort } = request;
  const where = `${external.host}:${external.port} (${protocol.toUpperCase()})`;
  const lease = leaseMs === null ? 'until it is removed' : `for ${formatDuration(leaseMs)} at a time`;
  const led: Note = [
    'info',
    `The router ${now.router ?? ''} leads ${where} to port ${internalPort} here, by ${now.way ?? ''}, ${lease}`,
  ];
  return [
    led,
    ...(external.port === wished ? [] : [otherPort(external.port, wished)]),
    ...(leaseMs === null ? [ENDLESS] : []),
    ...(error === null ? [] : [['warn', error.message, error.code] satisfies Note]),
  ];
}

function otherPort(granted: number, wished: number): Note {
  return ['warn', `The router granted port ${granted} in place of ${wished}, which is taken there or not allowed`];
}

const ENDLESS: Note = [
  'warn',
  'The router knows no end of a mapping: after a crash it stays there until it is removed',
];

/** What was left behind. */
export function notRemovedNote({ message, code }: TunnelError, { expiresAtMs }: MappingFacts): Note {
  const end = expiresAtMs === null ? 'remove it by hand' : 'it ends with its lease';
  return ['warn', `The mapping of the router could not be removed, ${end}: ${message}`, code];
}
