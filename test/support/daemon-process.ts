/**
 * A supervisor in a process of its own, whose tunnels are steered parts: `node --import tsx daemon-process.ts`.
 * Its home is TUNNEL_HOME; it knows the profiles `pop-mail` and `web`. Ends with 1 and one line when it cannot start.
 */
import { appPaths } from '../../src/files/paths.ts';
import { StateFile } from '../../src/files/state.ts';
import { systemClock } from '../../src/link/clock.ts';
import { runDaemon } from '../../src/daemon/main.ts';
import { asTunnelError } from '../../src/model/failure.ts';
import { TunnelSupervisor } from '../../src/supervisor/supervisor.ts';
import { Stage, aForward } from './supervisor-parts.ts';

const paths = appPaths();
const stage = new Stage();
stage.profile({ name: 'pop-mail', forwards: [aForward(1113)] });
stage.profile({ name: 'web', forwards: [aForward(8080)] });

try {
  await runDaemon({
    paths,
    version: process.env['TEST_VERSION'] ?? '1.2.3',
    clock: systemClock,
    makeSupervisor: () =>
      new TunnelSupervisor({ ...stage.deps, clock: systemClock, store: new StateFile(paths.wantedFile) }),
    onFault: (error) => process.stderr.write(`${error.code} ${error.message}\n`),
    onReady: () => {
      process.stdout.write('ready\n');
      if (process.env['TEST_FAULT'] === undefined) return;
      setImmediate(() => {
        throw new Error('a fault that nobody catches');
      });
      void Promise.reject(new Error('a promise that nobody waits for'));
    },
  });
} catch (thrown) {
  const error = asTunnelError(thrown);
  process.stderr.write(`${error.code} ${error.message}\n`);
  process.exitCode = 1;
}
