import type { KeyLimits } from './key-limits.ts';

/** A public key as authorized_keys has it. */
export interface PublicKey {
  /** `ssh-ed25519`. */
  readonly type: string;
  /** The key in base64. */
  readonly blob: string;
}

/**
 * `restrict` forbids terminals, agents and X11 but lets every command run (sshd(8)): only a forced command keeps shells,
 * commands and file transfers out. `false` is there on every system and under every shell.
 */
const FORCED = 'command="false"';

/** The line that lets a key do what `limits` say and no more. @param comment one line; tells people whose it is */
export function authorizedLine(key: PublicKey, { opens, listens }: KeyLimits, comment: string): string {
  const options = [
    ...['restrict', 'port-forwarding'],
    ...opens.map((value) => option('permitopen', value)),
    ...listens.map((value) => option('permitlisten', value)),
    FORCED,
  ];
  return `${options.join(',')} ${key.type} ${key.blob} ${comment}`;
}

/** Names the profile and the machine in a few plain letters: `tunnel:pop-mail@laptop`. */
export function lineComment(profile: string, machine: string): string {
  return `tunnel:${profile}@${machine}`.replace(/[^A-Za-z0-9:@._-]/g, '-');
}

/** Whether a line is one that `authorizedLine` makes for this key: with a word more in it, somebody had a reason. */
export function isOwnLine(line: string, key: PublicKey): boolean {
  const [options = '', type, blob] = line.split(' ');
  return type === key.type && blob === key.blob && OWN_OPTIONS.test(options);
}

const OWN_OPTIONS = /^restrict,port-forwarding(?:,permit(?:open|listen)="[^"\\]*")+,command="false"$/;

/** sshd ends a value at the next quote, and knows `\"` for one within it (auth-options.c, opt_dequote). */
function option(name: string, value: string): string {
  return `${name}="${value.replaceAll('"', '\\"')}"`;
}
