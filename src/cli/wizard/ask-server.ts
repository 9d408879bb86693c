import { asTunnelError, TunnelError } from '../../model/failure.ts';
import type { HopSpec } from '../../model/profile.ts';
import { askOne, askText } from '../prompts.ts';
import type { Output } from '../output.ts';
import { formatHop, parseHop } from '../../model/hop-spec.ts';

/** Logs in through the hops and out again, asking the person what the login asks. @returns what to say about it */
export type TryLogin = (via: readonly HopSpec[]) => Promise<string>;

/**
 * Asks for the server and proves the login before anything else is asked. Where it fails, the person corrects the
 * server, tries again, goes on all the same, or leaves: that is INTERRUPTED.
 */
export async function askServer(tryLogin: TryLogin, out: Output, signal: AbortSignal): Promise<readonly HopSpec[]> {
  out.say(out.talkTheme.dim(WHAT_TO_WRITE));
  let via = await askVia(undefined, signal);
  for (;;) {
    if (await provesLogin(via, tryLogin, out, signal)) return via;
    const next = await askOne('The login does not work yet. What now?', AFTER_FAILURE, signal);
    if (next === 'keep') return via;
    if (next === 'quit') throw new TunnelError('INTERRUPTED', 'Nothing was written');
    if (next === 'edit') via = await askVia(via, signal);
  }
}

const WHAT_TO_WRITE = 'user@host, user@host:port, or an alias of ~/.ssh/config; jump hosts come first, with commas.';

const AFTER_FAILURE = [
  { value: 'edit', label: 'Change the server' },
  { value: 'again', label: 'Try again' },
  { value: 'keep', label: 'Go on, and save it anyway' },
  { value: 'quit', label: 'Quit, and write nothing' },
];

async function askVia(before: readonly HopSpec[] | undefined, signal: AbortSignal): Promise<readonly HopSpec[]> {
  const text = await askText(
    {
      message: 'SSH server:',
      ...(before === undefined ? {} : { fallback: before.map(formatHop).join(', ') }),
      validate: (typed) => parseVia(typed) !== undefined || 'Write it like alice@pop.example.org or alice@host:2222',
    },
    signal,
  );
  const via = parseVia(text);
  if (via === undefined) throw new TypeError('The prompt takes only what parseVia reads');
  return via;
}

function parseVia(text: string): readonly HopSpec[] | undefined {
  const hops = text.split(',').map((part) => parseHop(part.trim()));
  const read = hops.filter((hop) => hop !== undefined);
  return read.length === hops.length ? read : undefined;
}

async function provesLogin(
  via: readonly HopSpec[],
  tryLogin: TryLogin,
  out: Output,
  signal: AbortSignal,
): Promise<boolean> {
  const { good, bad, dim } = out.talkTheme;
  const server = via.at(-1);
  if (server !== undefined) out.say(dim(`  Logging in at ${formatHop(server)} …`));
  try {
    out.say(`${good('✓')} ${await tryLogin(via)}`);
    return true;
  } catch (thrown) {
    signal.throwIfAborted();
    const error = asTunnelError(thrown);
    if (error.code === 'INTERRUPTED' || error.code === 'INTERNAL') throw error;
    out.warn(`${bad('✗')} ${error.message}`);
    if (error.hint !== '') out.warn(dim(`  ${error.hint}`));
    return false;
  }
}
