import { isDeepStrictEqual } from 'node:util';
import type { Endpoint } from '../model/endpoint.ts';
import { forwardTarget } from '../model/forward-target.ts';
import type { ForwardPlan, SocksForwardPlan } from '../model/plan.ts';
import type { Dial } from './reach/dial.ts';
import type { Forward, ForwardContext } from './forward-context.ts';
import { ListeningForward } from './listening-forward.ts';
import { isPermitted, proxyTarget, type ProxyRules } from './parley/negotiate.ts';
import { ProxyLogin } from './parley/proxy-login.ts';
import { tcpRelay } from './relay.ts';
import { fixedTarget, type Route } from './reach/route.ts';
import { ServerForward } from './server-forward.ts';
import { TriggerForward } from './trigger/trigger-forward.ts';
import { UdpRelay } from './udp/udp.ts';

/**
 * The table of kinds: who hands the connections over, how a target is agreed, who reaches it. Nothing is bound before
 * `start`. @throws RangeError for an `allow` that is no list of addresses (the plan has checked it)
 */
export function createForward(plan: ForwardPlan, context: ForwardContext): Forward {
  const { carrier } = context;
  const byChannel: Dial = (target, originator, signal) => carrier.open(target, originator, signal);
  const label = forwardTarget(plan);
  switch (plan.kind) {
    case 'local': {
      const { target } = plan;
      const probed = { target, dial: byChannel };
      const route = { label, probed, negotiate: fixedTarget(target), dial: byChannel };
      return new ListeningForward(plan, route, context);
    }
    case 'socks': {
      const probed = plan.expectAt && { target: plan.expectAt, dial: byChannel };
      return new ListeningForward(plan, { label, probed, ...proxy(plan, context), dial: byChannel }, context);
    }
    case 'remote':
      return new ServerForward(plan, { label, probed: plan.target, goal: plan.target }, context);
    case 'remote-socks': {
      const { permit } = plan;
      const permits = permit === null ? null : (target: Endpoint) => isPermitted(permit, target);
      const { negotiate, ...ready } = proxy(plan, context, permits);
      return new ServerForward(plan, { label, probed: plan.expectAt, goal: negotiate, ...ready }, context);
    }
    case 'relay':
      return plan.protocol === 'udp' ? new UdpRelay(plan, context) : tcpRelay(plan, context);
    case 'trigger':
      return new TriggerForward(plan, context);
  }
}

function proxy(
  { auth }: Pick<SocksForwardPlan, 'auth'>,
  { clock, proxyPassword }: ForwardContext,
  permits: ProxyRules['permits'] = null,
): Pick<Route, 'ready' | 'negotiate'> {
  if (auth === null) return { negotiate: proxyTarget({ clock, login: null, permits }) };
  const login = new ProxyLogin({ user: auth, clock, password: proxyPassword(auth) });
  return {
    ready: () => login.ready(),
    negotiate: proxyTarget({ clock, login: (credentials) => login.admits(credentials), permits }),
  };
}

/** Whether a running forward is already what the other plan wants, so that a reload need not touch its listener. */
export function sameForward(running: ForwardPlan, wanted: ForwardPlan): boolean {
  return isDeepStrictEqual(running, wanted);
}
