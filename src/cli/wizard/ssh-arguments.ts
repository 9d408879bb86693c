import { TunnelError } from '../../model/failure.ts';

/** The words of an `ssh` command line, sorted as ssh(1) does, with nothing interpreted. */
export interface SshArguments {
  /** In the order given; `value` is '' for a switch. */
  readonly options: readonly { readonly letter: string; readonly value: string }[];
  readonly destination: string | undefined;
  /** What would run on the server. */
  readonly command: readonly string[];
}

/** OpenSSH 10's own option string: switches, then those that take a value. */
const SWITCHES = '1246AaCfGgKkMNnqsTtVvXxYy';
const WITH_VALUE = 'BbcDEeFIiJLlmOoPpQRSWw';

/**
 * Sorts the words after `ssh`. Switches may be bundled (`-fNL 113:x:113`), a value may stick to its letter (`-p2222`), and
 * options may follow the destination, as in ssh(1).
 * @throws USAGE for an unknown option and a missing value
 */
export function sortSshArguments(words: readonly string[]): SshArguments {
  const options: { letter: string; value: string }[] = [];
  let destination: string | undefined;
  let at = 0;
  while (at < words.length) {
    const word = words[at] ?? '';
    if (word === '--') {
      destination ??= words[(at += 1)];
      return { options, destination, command: words.slice(at + 1) };
    }
    if (word.startsWith('-') && word !== '-') {
      at += readBundle(word.slice(1), words[at + 1], options);
    } else if (destination === undefined) {
      destination = word;
      at += 1;
    } else {
      return { options, destination, command: words.slice(at) };
    }
  }
  return { options, destination, command: [] };
}

/** @returns how many words were used */
function readBundle(bundle: string, next: string | undefined, into: { letter: string; value: string }[]): number {
  for (const [at, letter] of [...bundle].entries()) {
    if (SWITCHES.includes(letter)) {
      into.push({ letter, value: '' });
      continue;
    }
    if (!WITH_VALUE.includes(letter)) {
      throw new TunnelError('USAGE', `Cannot read the ssh line: ssh has no option -${letter}`);
    }
    const stuck = bundle.slice(at + 1);
    const value = stuck === '' ? next : stuck;
    if (value === undefined) throw new TunnelError('USAGE', `Cannot read the ssh line: -${letter} needs a value`);
    into.push({ letter, value });
    return stuck === '' ? 2 : 1;
  }
  return 1;
}
