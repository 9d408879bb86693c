import { setMaxListeners } from 'node:events';
import type { Ask, Question } from '../../src/link/ask.ts';
import type { Channel, DialRequest } from '../../src/link/transport.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { HopPlan } from '../../src/model/plan.ts';
import { Secret } from '../../src/model/secret.ts';
import { createDial } from '../../src/ssh/dial.ts';
import type { TestSshd } from './sshd.ts';

/** A hop with nothing but an address: no keys, no agent, no known hosts. */
export function aHop(over: Partial<HopPlan> & Pick<HopPlan, 'port'>): HopPlan {
  const host = over.host ?? '127.0.0.1';
  return {
    label: `tester@${host}:${over.port}`,
    host,
    user: 'tester',
    hostKeyName: host,
    addressFamily: 'any',
    bindAddress: null,
    proxyCommand: null,
    identities: [],
    certificates: [],
    identitiesOnly: false,
    agent: null,
    auth: ['publickey', 'keyboard-interactive', 'password'],
    knownHosts: [],
    hostKey: { kind: 'strict' },
    hashKnownHosts: false,
    updateHostKeys: 'no',
    revokedHostKeys: null,
    caSignatureAlgorithms: null,
    compression: false,
    ciphers: null,
    kex: null,
    macs: null,
    hostKeyAlgorithms: null,
    legacy: false,
    rekey: { bytes: null, everyMs: null },
    ...over,
  };
}

/** A hop that a real sshd lets in with its own key. */
export function sshdHop(sshd: TestSshd, over: Partial<HopPlan> = {}): HopPlan {
  return aHop({
    port: sshd.port,
    user: sshd.user,
    label: sshd.address,
    identities: [{ file: sshd.identityFile, explicit: true }],
    knownHosts: [sshd.knownHostsFile],
    ...over,
  });
}

/** A request whose notes, phases and questions can be read afterwards. */
export interface Rehearsal {
  readonly request: DialRequest;
  readonly notes: string[];
  readonly phases: string[];
  readonly questions: Question[];
  readonly abort: AbortController;
}

/** @param answers what the person types, by kind of question; without one nobody is there */
export function aRequest(
  hops: readonly HopPlan[],
  answers: Partial<Record<Question['kind'], readonly string[]>> = {},
  over: Partial<DialRequest> = {},
): Rehearsal {
  const notes: string[] = [];
  const phases: string[] = [];
  const questions: Question[] = [];
  const abort = new AbortController();
  const left = new Map(Object.entries(answers).map(([kind, texts]) => [kind, [...texts]]));
  const ask: Ask = (question) => {
    questions.push(question);
    const answer = left.get(question.kind)?.shift();
    return answer === undefined
      ? Promise.reject(new TunnelError('NEEDS_PERSON', `Cannot log in: ${question.prompt} nobody is there`))
      : Promise.resolve(new Secret(answer));
  };
  const prompt = { kind: 'prompt' } as const;
  const request: DialRequest = {
    hops,
    timeouts: { connectMs: 5_000, loginMs: 5_000, channelMs: 5_000 },
    secrets: { password: prompt, passphrase: prompt, totp: prompt },
    agentSocket: undefined,
    ask,
    onPhase: (phase) => phases.push(phase),
    onNote: (note) => notes.push(note),
    signal: abort.signal,
    ...over,
  };
  return { request, notes, phases, questions, abort };
}

/** A dial without any stored secret. */
export function aDial() {
  return createDial({ readSecret: () => Promise.resolve(undefined) });
}

/** What a dial rejected with. @throws where it connected */
export async function failureOf(promise: Promise<unknown>): Promise<TunnelError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof TunnelError) return error;
    throw error;
  }
  throw new Error('It succeeded');
}

/** Collects everything that a channel says; `closed` resolves at its end. */
export function listenTo(channel: Channel) {
  const events: string[] = [];
  let bytes = 0;
  const closed = new Promise<TunnelError | undefined>((resolve) => {
    channel.attach({
      data: (chunk) => {
        bytes += chunk.length;
        events.push(chunk.toString('latin1'));
      },
      end: () => events.push('<end>'),
      drain: () => events.push('<drain>'),
      closed: (error) => {
        events.push('<closed>');
        resolve(error);
      },
    });
  });
  return { events, closed, text: () => events.filter((event) => !event.startsWith('<')).join(''), bytes: () => bytes };
}

export const NOBODY = { address: '127.0.0.1', port: 9 };
export const ALWAYS = new AbortController().signal;
setMaxListeners(0, ALWAYS); // all the opens of a test share it
