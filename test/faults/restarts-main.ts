/**
 * `npm run faults:restarts [-- --times=N]`: replaces the supervisor N times (50) under load and prints how the clients fared. Ends
 * with 1 where one of them was refused or cut.
 */
import { runOptions } from '../support/run-options.ts';
import { runRestarts } from './restarts.ts';

const { times: count = 50 } = runOptions('faults:restarts', 'some minutes', {
  times: { kind: 'count', about: 'that the supervisor is replaced (50)' },
});
const found = await runRestarts(count, () => void process.stderr.write('.'));
process.stderr.write('\n');
let failed = !found.openLivedOn || !found.remoteServes || !found.datagramsPass || found.pids.length !== 1;
for (const [kind, { served, refused, cut }] of Object.entries(found.clients)) {
  process.stdout.write(`${kind}: ${served} served, ${refused} refused, ${cut} cut\n`);
  failed ||= refused + cut > 0 || served === 0;
}
process.stdout.write(
  `${count} restarts, the slowest in ${Math.round(found.slowestMs)} ms; the connection that was open before the first ` +
    `${found.openLivedOn ? 'lived on' : 'was cut'}; ${found.pids.length} supervisor left\n`,
);
process.exitCode = failed ? 1 : 0;
