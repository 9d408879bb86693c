import type { Carrier } from '../../link/carrier.ts';
import { TunnelError } from '../../model/failure.ts';
import { dialLocal } from './dial.ts';

/** The carrier of what needs no SSH: always up, needed by nobody, reaching targets from this machine. */
export const noCarrier: Carrier = {
  up: true,
  need: () => () => undefined,
  open: (target, _originator, signal) => dialLocal(target, signal),
  listen: () => {
    throw new TunnelError('INTERNAL', 'Cannot listen on a server: this forward has none');
  },
};
