import { describe, expect, test } from 'vitest';
import type { CarrierStatus } from '../../src/link/carrier.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { ForwardState, TunnelState } from '../../src/model/status.ts';
import { forwardState, tunnelState, type ForwardLiveness, type TunnelFacts } from '../../src/supervisor/state.ts';

const inUse = new TunnelError('BIND_IN_USE', 'Cannot bind 127.0.0.1:113: it is in use');
const unsupported = new TunnelError('NOT_SUPPORTED', 'Cannot bind unix:/x: not here');
const refused = new TunnelError('LOGIN_REFUSED', 'Cannot log in');
const lost = new TunnelError('CONNECTION_LOST', 'Lost');

const fresh: ForwardLiveness = { listening: true, error: null, wasUp: false };
const seasoned: ForwardLiveness = { ...fresh, wasUp: true };
const unused: ForwardLiveness = { ...seasoned, idle: true };
const relay: ForwardLiveness = { ...fresh, linkless: true };
const unbound: ForwardLiveness = { listening: false, error: null, wasUp: false };
const taken: ForwardLiveness = { listening: false, error: inUse, wasUp: false };
const hopeless: ForwardLiveness = { listening: false, error: unsupported, wasUp: false };

function facts(
  phase: CarrierStatus['phase'] | null,
  forwards: readonly ForwardLiveness[],
  more: Partial<TunnelFacts> & { readonly lastError?: TunnelError } = {},
): TunnelFacts {
  const { lastError = null, ...rest } = more;
  const carrier = phase === null ? null : { phase, lastError };
  return { wish: 'run', failure: null, carrier, openQuestions: 0, forwards, ...rest };
}

type Row = readonly [string, TunnelFacts, TunnelState, readonly ForwardState[]];

const ROWS: readonly Row[] = [
  ['stopped', facts('up', [seasoned], { wish: 'stopped' }), 'stopped', ['stopped']],
  ['stopping, while connections drain', facts('up', [seasoned], { wish: 'stopping' }), 'stopping', ['stopped']],
  [
    'stopping wins over a failure',
    facts('failed', [fresh], { wish: 'stopping', failure: refused }),
    'stopping',
    ['stopped'],
  ],
  ['failed for good', facts('idle', [unbound], { failure: refused }), 'failed', ['failed']],
  ['a carrier that has just failed', facts('failed', [seasoned]), 'failed', ['failed']],
  ['the first dial', facts('connecting', [fresh]), 'connecting', ['connecting']],
  ['the listener is not bound yet', facts('idle', [unbound]), 'connecting', ['connecting']],
  ['the listener is not bound yet, link up', facts('up', [unbound, fresh]), 'connecting', ['connecting', 'up']],
  ['up', facts('up', [seasoned, fresh]), 'up', ['up', 'up']],
  ['no SSH needed', facts(null, [fresh]), 'up', ['up']],
  ['a relay while the link is down', facts('retrying', [seasoned, relay]), 'retrying', ['retrying', 'up']],
  ['a relay beside what nobody needs now', facts('idle', [fresh, relay]), 'idle', ['idle', 'up']],
  ['nobody needs the link', facts('idle', [fresh]), 'idle', ['idle']],
  ['one is open on demand and unused, another serves', facts('up', [seasoned, unused]), 'up', ['up', 'idle']],
  [
    'one is unused while the link of another is lost',
    facts('retrying', [seasoned, unused]),
    'retrying',
    ['retrying', 'idle'],
  ],
  ['used for the first time', facts('connecting', [fresh, unused]), 'connecting', ['connecting', 'idle']],
  ['unused, its port taken', facts('idle', [{ ...taken, idle: true }]), 'retrying', ['retrying']],
  [
    'the first dial failed, waiting for the next',
    facts('retrying', [fresh], { lastError: lost }),
    'retrying',
    ['connecting'],
  ],
  [
    'a second dial before the first time up',
    facts('connecting', [fresh], { lastError: lost }),
    'retrying',
    ['connecting'],
  ],
  ['lost, waiting for the next dial', facts('retrying', [seasoned], { lastError: lost }), 'retrying', ['retrying']],
  ['lost, dialling', facts('connecting', [seasoned]), 'retrying', ['retrying']],
  ['a person must answer', facts('waiting', [fresh]), 'waiting', ['connecting']],
  ['a person must answer, after an outage', facts('waiting', [seasoned]), 'waiting', ['retrying']],
  [
    'a question is open during the login',
    facts('connecting', [fresh], { openQuestions: 1 }),
    'waiting',
    ['connecting'],
  ],
  ['one port is taken, the others serve', facts('up', [seasoned, taken]), 'retrying', ['up', 'retrying']],
  ['every port is taken, so nobody needs the link', facts('idle', [taken]), 'retrying', ['retrying']],
  ['a port is lost that was bound', facts('up', [{ ...unbound, wasUp: true }]), 'retrying', ['retrying']],
  ['one forward failed for good, the others serve', facts('up', [seasoned, hopeless]), 'retrying', ['up', 'failed']],
  ['every forward failed for good', facts('up', [hopeless, hopeless]), 'failed', ['failed', 'failed']],
];

describe('the state of a tunnel and of its forwards is derived from facts', () => {
  test.each(ROWS)('%s', (_name, given, tunnel, forwards) => {
    const derived = { tunnel: tunnelState(given), forwards: given.forwards.map((one) => forwardState(one, given)) };
    expect(derived).toEqual({ tunnel, forwards });
  });
});
