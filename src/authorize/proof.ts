import type { SessionOutcome, SessionRequest, SessionTransport } from '../link/transport.ts';
import { cleanLine } from '../model/clean.ts';
import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import type { ForwardPlan, HopPlan } from '../model/plan.ts';
import { ANYTHING, listenedAt, opened, type KeyLimits } from './key-limits.ts';

/** One thing that the key must be able to do, or must not be. */
export interface ProofStep {
  /** `login`, `forward`; then what must be refused: `target`, `listener`, `terminal`, `shell`, `command`, `sftp`. */
  readonly step: string;
  readonly subject: string;
  readonly ms: number;
  /** What was found, on one line. */
  readonly found: string;
  /** Undefined where it is as it must be. */
  readonly error: TunnelError | undefined;
}

export interface ProofNeeds {
  readonly forwards: readonly ForwardPlan[];
  readonly limits: KeyLimits;
  readonly server: Pick<HopPlan, 'port'>;
  /** `alice@pop.example.org:22`. */
  readonly account: string;
  /** Logs in with the key and nothing else. */
  readonly dial: () => Promise<SessionTransport>;
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
}

/** The server's hop as only this key logs in to it. @param inAgent the agent holds its private half, and is asked for no other */
export function onlyWith(hop: HopPlan, file: string, inAgent: boolean): HopPlan {
  return {
    ...hop,
    identities: [{ file, explicit: true }],
    certificates: [],
    identitiesOnly: true,
    agent: inAgent ? hop.agent : null,
    auth: ['publickey'],
  };
}

/**
 * Proves by trying that the key opens each forward, and that it does nothing else: by a login of its own, which ends with it. A
 * target is dialled and closed, a listener is asked for and given back.
 */
export async function* proveKey(needs: ProofNeeds): AsyncGenerator<ProofStep, void> {
  let transport: SessionTransport | undefined;
  yield await timed(needs, 'login', needs.account, async () => {
    transport = await needs.dial();
    return `with this key alone, at ${transport.facts.serverVersion}`;
  });
  if (transport === undefined) return;
  try {
    for (const [step, subject, work] of trials(transport, needs)) yield await timed(needs, step, subject, work);
  } finally {
    transport.close();
  }
}

type Trial = readonly [step: string, subject: string, work: () => Promise<string>];

function* trials(transport: SessionTransport, needs: ProofNeeds): Generator<Trial> {
  for (const forward of needs.forwards) yield* forwardTrials(forward, transport, needs);
  const { opens, listens } = needs.limits;
  const other = otherTarget(opens);
  if (other !== undefined) yield ['target', formatEndpoint(other), () => refusesTarget(other, transport, needs)];
  if (!listens.some((permit) => permit.endsWith(':*'))) {
    yield ['listener', 'any port', () => refusesListener(transport, needs)];
  }
  for (const [step, request, isOpen] of SESSIONS) {
    yield [step, needs.account, () => refusesSession(step, request, isOpen, transport, needs)];
  }
}

function* forwardTrials(forward: ForwardPlan, transport: SessionTransport, needs: ProofNeeds): Generator<Trial> {
  for (const end of opened(forward)) {
    const shown = end === 'any' ? 'any host' : formatEndpoint(end);
    yield ['forward', `${forward.name}: ${shown}`, () => opensTarget(end, transport, needs)];
  }
  for (const bind of listenedAt(forward)) {
    const shown = `${forward.name}: listens at ${formatEndpoint(bind)}`;
    yield ['forward', shown, () => listens(bind, transport, needs.signal)];
  }
}

/** For a proxy any answer will do but that it is forbidden: the server's own door is tried. */
async function opensTarget(end: Endpoint | 'any', transport: SessionTransport, needs: ProofNeeds): Promise<string> {
  if (end !== 'any') {
    (await transport.openDirect(end, US, needs.signal)).abort();
    return 'open';
  }
  try {
    (await transport.openDirect({ kind: 'tcp', host: '127.0.0.1', port: needs.server.port }, US, needs.signal)).abort();
  } catch (thrown) {
    if (asTunnelError(thrown).code !== 'TARGET_REFUSED') throw thrown;
  }
  return 'open';
}

const US = { address: '127.0.0.1', port: 0 };

/** sshd leaves the file of a socket behind, which the tunnel would then find in its way: those are not tried. */
async function listens(bind: Endpoint, transport: SessionTransport, signal: AbortSignal): Promise<string> {
  if (bind.kind === 'unix') return 'not tried: the server would leave its file behind';
  const bound = await transport.requestForward(bind, (incoming) => incoming.refuse(), signal);
  await transport.cancelForward(bound, signal);
  return `listened at ${formatEndpoint(bound)}`;
}

/** Loopback of the server, at the first port that is not permitted: those are hardly ever served. Undefined where all are. */
function otherTarget(opens: readonly string[]): Endpoint | undefined {
  if (opens.includes(ANYTHING)) return undefined;
  for (let port = 1; ; port++) {
    const target: Endpoint = { kind: 'tcp', host: '127.0.0.1', port };
    if (!opens.includes(formatEndpoint(target))) return target;
  }
}

async function refusesTarget(target: Endpoint, transport: SessionTransport, needs: ProofNeeds): Promise<string> {
  try {
    (await transport.openDirect(target, US, needs.signal)).abort();
  } catch (thrown) {
    const { code } = asTunnelError(thrown);
    if (code === 'TARGET_PROHIBITED') return REFUSED;
    if (code !== 'TARGET_REFUSED') throw thrown;
  }
  throw unlimited('connects to any other target', needs);
}

async function refusesListener(transport: SessionTransport, needs: ProofNeeds): Promise<string> {
  const bind: Endpoint = { kind: 'tcp', host: 'localhost', port: 0 };
  let bound: Endpoint;
  try {
    bound = await transport.requestForward(bind, (incoming) => incoming.refuse(), needs.signal);
  } catch (thrown) {
    if (asTunnelError(thrown).code === 'FORWARD_REFUSED') return REFUSED;
    throw thrown;
  }
  await transport.cancelForward(bound, needs.signal);
  throw unlimited('listens at any port', needs);
}

/** The quotes are gone only where a shell has read the line; cmd.exe leaves them, but prints them on a line of their own. */
const ECHO = 'echo tunnel"-"proof';
const ECHOED = ['tunnel-proof', 'tunnel"-"proof'];
/** SSH_FXP_INIT of version 3 (draft-ietf-secsh-filexfer-02); the answer is a packet of type SSH_FXP_VERSION. */
const SFTP_INIT = Buffer.of(0, 0, 0, 5, 1, 0, 0, 0, 3);
const SFTP_VERSION = 2;

/** Whether something answered that must not be there. That a request is granted says nothing: a forced command takes it. */
type IsOpen = (outcome: SessionOutcome) => boolean;

const echoes: IsOpen = ({ output }) =>
  output
    .toString('latin1')
    .split('\n')
    .some((line) => ECHOED.includes(line.trim()));

const SESSIONS: readonly (readonly [step: string, request: SessionRequest, isOpen: IsOpen])[] = [
  ['terminal', { kind: 'terminal' }, ({ granted }) => granted],
  ['shell', { kind: 'shell', input: `${ECHO}\nexit\n` }, echoes],
  ['command', { kind: 'command', command: ECHO, input: '' }, echoes],
  ['sftp', { kind: 'subsystem', name: 'sftp', input: SFTP_INIT }, ({ output }) => output[4] === SFTP_VERSION],
];

async function refusesSession(
  step: string,
  request: SessionRequest,
  isOpen: IsOpen,
  transport: SessionTransport,
  needs: ProofNeeds,
): Promise<string> {
  if (isOpen(await transport.runSession(request, needs.signal))) throw unlimited(OPENED[step] ?? '', needs);
  return REFUSED;
}

const REFUSED = 'refused';
const OPENED: Readonly<Record<string, string>> = {
  terminal: 'gets a terminal',
  shell: 'opens a shell',
  command: 'runs commands',
  sftp: 'reads and writes files',
};

function unlimited(what: string, { account }: ProofNeeds): TunnelError {
  return new TunnelError('KEY_UNLIMITED', `Cannot vouch for the key at ${account}: it ${what}`);
}

async function timed(
  { nowMs, signal }: ProofNeeds,
  step: string,
  subject: string,
  work: () => Promise<string>,
): Promise<ProofStep> {
  const sinceMs = nowMs();
  const done = (found: string, error: TunnelError | undefined): ProofStep => {
    return { step, subject, ms: Math.round(nowMs() - sinceMs), found: cleanLine(found, 120), error };
  };
  try {
    return done(await work(), undefined);
  } catch (thrown) {
    signal.throwIfAborted();
    return done('', asTunnelError(thrown));
  }
}
