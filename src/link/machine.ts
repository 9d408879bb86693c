import type { TunnelError } from '../model/failure.ts';
import { atOnceDelayMs, backoffDelayMs, type BackoffBounds } from './backoff.ts';

// The law of this file: events change states, effects never do. Time and chance come in with each event, and whoever
// runs the effects reports what came of them as the next event.

/** What a link remembers from dial to dial. */
export interface Life {
  /** Losses in a row since a login last held; the next delay grows with it. */
  readonly losses: number;
  /** A login has succeeded before, so a refusal may be a passing fault of the server's. */
  readonly loggedIn: boolean;
  /** The one more try that a refused login gets has been granted. */
  readonly refused: boolean;
  /** Since when the link has been wanted and not up: what `giveUpAfter` counts from. */
  readonly downSinceMs: number;
  /** No dial before this, whoever is in a hurry. A person's retry alone may be earlier. */
  readonly notBeforeMs: number;
  /** What the last dial or link ended with; null once up. */
  readonly reason: TunnelError | null;
}

/** Life of one SSH connection over its reconnects. */
export type LinkState =
  | { readonly name: 'idle'; readonly life: Life }
  | { readonly name: 'connecting' | 'authenticating'; readonly life: Life }
  | { readonly name: 'up'; readonly life: Life; readonly sinceMs: number }
  | { readonly name: 'backoff'; readonly life: Life; readonly reason: TunnelError; readonly untilMs: number }
  /** Only a person's retry leads out of these two. `needed`: somebody would use the link. */
  | { readonly name: 'waiting' | 'failed'; readonly life: Life; readonly reason: TunnelError; readonly needed: boolean }
  /** The dial or the connection is being ended; `next` is what follows once it is gone. */
  | { readonly name: 'closing'; readonly life: Life; readonly next: 'idle' | 'connecting' | 'closed' }
  | { readonly name: 'closed' };

export type LinkEvent =
  /** Somebody needs the link; nobody does any more. */
  | { readonly name: 'start' | 'rest' }
  /** The host key of the last hop is trusted; the login succeeded. */
  | { readonly name: 'trusted' | 'authenticated' }
  /** The dial failed or the connection ended, whoever ended it. */
  | { readonly name: 'lost'; readonly reason: TunnelError }
  | { readonly name: 'delayElapsed' }
  /** A client is held; the machine woke or its network changed; a person asks; it is over. */
  | { readonly name: 'hurry' | 'wake' | 'retry' | 'stop' };

/** `armDelay` and `dropDelay` concern the one timer of `backoff`; `hangUp` ends the dial or the connection there is. */
export type LinkEffect = 'dial' | 'hangUp' | 'armDelay' | 'dropDelay' | 'watch' | 'unwatch';

export interface Step {
  readonly state: LinkState;
  readonly effects: readonly LinkEffect[];
}

/** When an event happens, and the chance drawn for it, in [0, 1). */
export interface Moment {
  readonly nowMs: number;
  readonly draw: number;
}

export interface LinkRules extends BackoffBounds {
  readonly giveUpAfterMs: number | null;
}

/** A link that stayed up this long has earned a fresh backoff schedule. */
export const STABLE_AFTER_MS = 30_000;

/** The one more try after a refused login: late enough that no server takes the two for guessing. */
export const REFUSED_RETRY_MS = 10_000;

export const NEW_LINK: LinkState = {
  name: 'idle',
  life: { losses: 0, loggedIn: false, refused: false, downSinceMs: 0, notBeforeMs: 0, reason: null },
};

/** Whether a dial is under way that follows at once on the loss of a link that was up. */
export function isFirstTryAfterUp(state: LinkState): boolean {
  return state.name === 'connecting' && state.life.loggedIn && state.life.reason !== null && state.life.losses === 1;
}

/** Decides and never acts: the caller runs the effects in order, then waits for the next event. */
export function step(state: LinkState, event: LinkEvent, at: Moment, rules: LinkRules): Step {
  if (event.name === 'stop') return stop(state);
  switch (state.name) {
    case 'idle':
      return event.name === 'start' ? begin(state.life, at) : to(state);
    case 'connecting':
    case 'authenticating':
      return whileDialling(state, event, at, rules);
    case 'up':
      if (event.name === 'rest') return to({ name: 'closing', life: state.life, next: 'idle' }, 'unwatch', 'hangUp');
      return event.name === 'lost' ? loseUp(state, event.reason, at, rules) : to(state);
    case 'backoff':
      return whileBackoff(state, event, at);
    case 'waiting':
    case 'failed':
      return whileStuck(state, event, at);
    case 'closing':
      return whileClosing(state, event, at);
    case 'closed':
      return to(state); // a late event from a dying socket revives nothing
  }
}

function stop(state: LinkState): Step {
  switch (state.name) {
    case 'connecting':
    case 'authenticating':
      return to({ name: 'closing', life: state.life, next: 'closed' }, 'hangUp');
    case 'up':
      return to({ name: 'closing', life: state.life, next: 'closed' }, 'unwatch', 'hangUp');
    case 'backoff':
      return to({ name: 'closed' }, 'dropDelay');
    case 'closing':
      return to({ ...state, next: 'closed' });
    case 'idle':
    case 'waiting':
    case 'failed':
    case 'closed':
      return to({ name: 'closed' });
  }
}

/** The first dial for whoever needs the link now. A rest in the middle of a backoff does not shorten its wait. */
function begin(before: Life, at: Moment): Step {
  const life: Life = { ...before, downSinceMs: at.nowMs };
  if (before.reason !== null && at.nowMs < before.notBeforeMs) {
    return to({ name: 'backoff', life, reason: before.reason, untilMs: before.notBeforeMs }, 'armDelay');
  }
  return to({ name: 'connecting', life: { ...life, losses: 0, reason: null } }, 'dial');
}

type Dialling = Extract<LinkState, { readonly name: 'connecting' | 'authenticating' }>;

function whileDialling(state: Dialling, event: LinkEvent, at: Moment, rules: LinkRules): Step {
  switch (event.name) {
    case 'trusted':
      return to({ name: 'authenticating', life: state.life });
    case 'authenticated': {
      const life = { ...state.life, loggedIn: true, refused: false, reason: null };
      return to({ name: 'up', life, sinceMs: at.nowMs }, 'watch');
    }
    case 'lost':
      return lose({ ...state.life, losses: Math.max(1, state.life.losses) }, event.reason, at, rules);
    case 'rest':
      return to({ name: 'closing', life: state.life, next: 'idle' }, 'hangUp');
    case 'wake':
      // Begun on another network, and may well fail for it: that is no reason to wait for long.
      return to({ ...state, life: afresh(state.life) });
    default:
      return to(state);
  }
}

function loseUp(state: Extract<LinkState, { readonly name: 'up' }>, reason: TunnelError, at: Moment, rules: LinkRules) {
  const stable = at.nowMs - state.sinceMs >= STABLE_AFTER_MS;
  const life = { ...state.life, losses: stable ? 0 : state.life.losses, downSinceMs: at.nowMs };
  const next = lose(life, reason, at, rules);
  return { state: next.state, effects: ['unwatch', ...next.effects] } satisfies Step;
}

/** Time heals a lost connection; only a person heals a changed host key, and a refused login but once. */
function lose(before: Life, reason: TunnelError, at: Moment, rules: LinkRules): Step {
  const life: Life = { ...before, reason };
  if (reason.code === 'NEEDS_PERSON') return to({ name: 'waiting', life, reason, needed: true });
  if (reason.code === 'LOGIN_REFUSED' && life.loggedIn && !life.refused) {
    return delay({ ...life, refused: true }, reason, at.nowMs + REFUSED_RETRY_MS, at.nowMs + REFUSED_RETRY_MS);
  }
  const givenUp = rules.giveUpAfterMs !== null && at.nowMs - life.downSinceMs >= rules.giveUpAfterMs;
  if (!reason.retryable || givenUp) return to({ name: 'failed', life, reason, needed: true });
  // Zero losses are only left to a link that was up: that one tries at once.
  const waitMs = life.losses === 0 ? atOnceDelayMs(at.draw) : backoffDelayMs(life.losses, rules, at.draw);
  const lastTryMs = rules.giveUpAfterMs === null ? Infinity : life.downSinceMs + rules.giveUpAfterMs;
  const untilMs = at.nowMs + waitMs;
  const notBeforeMs = Math.min(untilMs, at.nowMs + rules.initialMs);
  return delay(
    { ...life, losses: life.losses + 1 },
    reason,
    Math.max(notBeforeMs, Math.min(untilMs, lastTryMs)),
    notBeforeMs,
  );
}

function delay(life: Life, reason: TunnelError, untilMs: number, notBeforeMs: number): Step {
  return to({ name: 'backoff', life: { ...life, notBeforeMs }, reason, untilMs }, 'armDelay');
}

type Backoff = Extract<LinkState, { readonly name: 'backoff' }>;

function whileBackoff(state: Backoff, event: LinkEvent, at: Moment): Step {
  switch (event.name) {
    case 'delayElapsed':
      // A timer may fire a moment early by the clock that set it.
      return at.nowMs < state.untilMs
        ? to(state, 'armDelay')
        : to({ name: 'connecting', life: { ...state.life, reason: state.reason } }, 'dial');
    case 'hurry':
      return sooner(state);
    case 'wake':
      // What failed before was another network: begin the schedule anew, in quick steps.
      return sooner({ ...state, life: afresh(state.life) });
    case 'retry':
      return to({ name: 'connecting', life: asked(at) }, 'dropDelay', 'dial');
    case 'rest':
      return to({ name: 'idle', life: state.life }, 'dropDelay');
    default:
      return to(state);
  }
}

/** The next delays are short again. */
function afresh(life: Life): Life {
  return { ...life, losses: Math.min(1, life.losses) };
}

function sooner(state: Backoff): Step {
  const untilMs = Math.min(state.untilMs, state.life.notBeforeMs);
  return untilMs === state.untilMs ? to(state) : to({ ...state, untilMs }, 'dropDelay', 'armDelay');
}

type Stuck = Extract<LinkState, { readonly name: 'waiting' | 'failed' }>;

function whileStuck(state: Stuck, event: LinkEvent, at: Moment): Step {
  switch (event.name) {
    case 'start':
      return to({ ...state, needed: true });
    case 'rest':
      return to({ ...state, needed: false });
    case 'retry': {
      const life = asked(at);
      return state.needed ? to({ name: 'connecting', life }, 'dial') : to({ name: 'idle', life });
    }
    default:
      return to(state);
  }
}

/** A person's retry wipes the slate; a refusal that follows is final at once, for the account's sake. */
function asked(at: Moment): Life {
  return { losses: 0, loggedIn: false, refused: false, downSinceMs: at.nowMs, notBeforeMs: at.nowMs, reason: null };
}

function whileClosing(state: Extract<LinkState, { readonly name: 'closing' }>, event: LinkEvent, at: Moment): Step {
  switch (event.name) {
    case 'start':
      return to({ ...state, next: state.next === 'closed' ? 'closed' : 'connecting' });
    case 'rest':
      return to({ ...state, next: state.next === 'closed' ? 'closed' : 'idle' });
    case 'lost':
      if (state.next === 'closed') return to({ name: 'closed' });
      return state.next === 'idle' ? to({ name: 'idle', life: state.life }) : begin(state.life, at);
    default:
      return to(state);
  }
}

const to = (state: LinkState, ...effects: readonly LinkEffect[]): Step => ({ state, effects });
