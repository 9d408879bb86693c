/** Which local ports this person may bind, and which are taken by others. */
export interface PortFacts {
  /** Ports below this one need root. 0 where the person is root, or the system has no such rule. */
  readonly lowest: number;
  /** Whether the port can be bound on localhost now and no other profile wants it. */
  readonly free: (port: number) => Promise<boolean>;
}

export interface PortSuggestion {
  readonly port: number;
  /** Why it is not the service's own port; '' when it is. */
  readonly why: string;
}

/** Tries so many ports above a taken one. */
const TRIES = 20;

/**
 * A local port to suggest for a service. Its own port where the person may have it, since that is what programs try
 * first; else `usual`, the port people use in its place, or the own port plus 1000 (1110 for 110); else the next free.
 */
export async function suggestPort(
  wanted: number,
  usual: number | undefined,
  facts: PortFacts,
): Promise<PortSuggestion> {
  const first = wanted >= facts.lowest ? wanted : (usual ?? wanted + 1000);
  const privileged = wanted < facts.lowest ? `ports below ${facts.lowest} need root` : '';
  for (let port = first; port < first + TRIES && port <= 65_535; port += 1) {
    if (!(await facts.free(port))) continue;
    return { port, why: port === first ? privileged : join(privileged, `${first} is taken`) };
  }
  return { port: 0, why: join(privileged, `${first} and the ${TRIES} ports after it are taken`) };
}

function join(...reasons: readonly string[]): string {
  return reasons.filter((reason) => reason !== '').join('; ');
}
