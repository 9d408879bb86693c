import { TunnelError } from '../../model/failure.ts';
import type { ForwardSpec } from '../../model/forward-spec.ts';
import { formatEndpoint } from '../../model/endpoint.ts';
import type { ControlCommand } from './command-line.ts';
import type { MuxMessage } from './mux-codec.ts';
import { askMux, type MuxRequest } from './mux-socket.ts';

/** Where the answers go: stdout for a port, stderr for the rest, as ssh has it. */
export interface ControlTalk {
  readonly say: (line: string) => void;
  /** Shown by -v. */
  readonly debug: (line: string) => void;
  readonly data: (line: string) => void;
}

/** `-O`: asks the master at the path and tells its answer in ssh's words. @returns 0. @throws FILE, USAGE */
export async function controlMaster(
  command: ControlCommand,
  forwards: readonly ForwardSpec[],
  path: string | null,
  talk: ControlTalk,
): Promise<number> {
  if (path === null) throw new TunnelError('USAGE', 'No ControlPath specified for "-O" command');
  const answers = await askMux(path, requestsOf(command, forwards));
  for (const [index, answer] of answers.entries()) tell(command, answer, forwards[index], talk);
  return 0;
}

function requestsOf(command: ControlCommand, forwards: readonly ForwardSpec[]): MuxRequest[] {
  if (command !== 'forward' && command !== 'cancel') return [{ kind: command }];
  if (forwards.length > 0) return forwards.map((spec) => ({ kind: command, spec }));
  throw new TunnelError('USAGE', `-O ${command} needs a forward: -L, -R or -D`);
}

function tell(
  command: ControlCommand,
  answer: MuxMessage,
  spec: ForwardSpec | undefined,
  { say, debug, data }: ControlTalk,
): void {
  switch (answer.kind) {
    case 'alive':
      return say(`Master running (pid=${answer.pid})`);
    case 'ok':
      if (command === 'exit') say('Exit request sent.');
      if (command === 'stop') say('Stop listening request sent.');
      return;
    case 'remote-port': {
      const to = spec !== undefined && 'target' in spec ? formatEndpoint(spec.target) : 'SOCKS';
      debug(`Allocated port ${answer.port} for remote forward to ${to}`);
      return data(String(answer.port));
    }
    case 'denied':
    case 'failure':
      say(`mux_client_forward: forwarding request failed: ${answer.reason}`);
      throw new TunnelError('FILE', `muxclient: master ${command === 'cancel' ? 'cancel ' : ''}forward request failed`);
    default:
      throw new TunnelError('FILE', `Cannot understand the master's answer: ${answer.kind}`);
  }
}
