import type { ControlClient } from '../../control/client.ts';
import { cleanLine } from '../../model/clean.ts';
import type { UpTunnel } from '../../model/request.ts';
import type { StatusEvent } from '../../model/status.ts';
import type { Context } from '../context.ts';
import type { QuestionRelay } from '../relay.ts';

type Note = Extract<StatusEvent, { event: 'note' }>;

/**
 * Says on the terminal what is noted of the tunnels that a command waits for, as `ssh` does: the server's banner, a key that
 * cannot be used. Listens at once: make it before the call that brings tunnels up. It ends with `close`, or its client.
 */
export class NoteTeller {
  readonly #relay: QuestionRelay;
  readonly #context: Context;
  readonly #said = new Set<string>();
  readonly #stop: () => void;
  #heard: Note[] = [];
  #names: ReadonlySet<string> | undefined;

  constructor(client: ControlClient, relay: QuestionRelay, context: Context) {
    this.#relay = relay;
    this.#context = context;
    this.#stop = client.on('event', (event) => {
      if (event.event !== 'note') return;
      this.#heard.push(event);
      this.#tell();
    });
    relay.onChange(() => this.#tell());
  }

  /** Which tunnels it is about; their warnings were said in another way. What was heard of them before is said now. */
  begin(tunnels: readonly Pick<UpTunnel, 'name' | 'warnings'>[]): void {
    this.#names = new Set(tunnels.map(({ name }) => name));
    for (const warning of tunnels.flatMap(({ warnings = [] }) => warnings)) this.#said.add(warning);
    this.#tell();
  }

  /** What need not be said again. */
  get said(): ReadonlySet<string> {
    return this.#said;
  }

  close(): void {
    this.#stop();
    this.#heard = [];
  }

  /** Not into a question that stands on the terminal. */
  #tell(): void {
    if (this.#names === undefined || this.#relay.asking || this.#context.json) return;
    const { out } = this.#context;
    for (const { tunnel, level, message } of this.#heard.splice(0)) {
      if (tunnel === null || !this.#names.has(tunnel) || this.#said.has(message)) continue;
      this.#said.add(message);
      const say = (line: string): void => (level === 'info' ? out.say(line) : out.warn(out.talkTheme.warn(line)));
      for (const line of message.split('\n')) say(`${cleanLine(tunnel)}: ${cleanLine(line)}`);
    }
  }
}
