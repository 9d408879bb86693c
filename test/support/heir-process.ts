/**
 * A supervisor of real parts in a process of its own, which can be made to stand still at one point of taking over:
 * `node --import tsx heir-process.ts run|inherit [loading|holding|bound|skewed]`. There it writes its pid to `phase` in
 * the home, and goes on once it finds a file `go`, which it takes away. Its home is TUNNEL_HOME.
 */
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../src/compose-clock.ts';
import { makeSupervisor } from '../../src/compose.ts';
import { runDaemon } from '../../src/daemon/main.ts';
import { Predecessor } from '../../src/daemon/predecessor.ts';
import { appPaths } from '../../src/files/paths.ts';
import { asTunnelError } from '../../src/model/failure.ts';
import { eventually } from './eventually.ts';

const [action, phase] = process.argv.slice(2);
const home = process.env['TUNNEL_HOME'] ?? '';
const paths = appPaths();

try {
  if (phase === 'skewed') process.send?.({ step: 'ready', handover: 99 });
  await standStill('skewed');
  await standStill('loading');
  const predecessor = action === 'inherit' ? await Predecessor.meet() : undefined;
  await runDaemon({
    paths,
    version: '1.2.3',
    clock: systemClock,
    ...(predecessor === undefined ? {} : { predecessor }),
    makeSupervisor: async (estate) => {
      await standStill('holding'); // the lock is ours, and nothing is bound
      const supervisor = makeSupervisor(paths, '1.2.3', process.env, estate);
      const { succession } = supervisor;
      const settle = succession.settle.bind(succession);
      succession.settle = () => settle().then(() => standStill('bound'));
      return supervisor;
    },
    onFault: (error) => process.stderr.write(`${error.code} ${error.message}\n`),
  });
} catch (thrown) {
  const error = asTunnelError(thrown);
  process.stderr.write(`${error.code} ${error.message}\n`);
  process.exit(1);
}
process.exit(0);

async function standStill(at: string): Promise<void> {
  if (at !== phase) return;
  writeFileSync(join(home, 'phase.draft'), String(process.pid));
  renameSync(join(home, 'phase.draft'), join(home, 'phase')); // whole, or not there
  await eventually(() => existsSync(join(home, 'go')), { withinMs: 60_000 });
  rmSync(join(home, 'go'));
}
