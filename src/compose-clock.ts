/** The clock of the real parts, for the daemon around them: it is needed before they are loaded. */
export { systemClock } from './link/clock.ts';
