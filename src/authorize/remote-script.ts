/** What a script of ours said, by its lines. */
export interface ScriptSaid {
  /** Lines of authorized_keys that hold the key. */
  readonly rows: readonly string[];
  /** Places that others may write to, for which sshd takes no key from them (StrictModes). */
  readonly loose: readonly string[];
  /** It came to its end. */
  readonly done: boolean;
}

/** Lines to take out and one to put in: '' is none. */
export interface Change {
  readonly drop: readonly string[];
  readonly add: string;
}

/**
 * What the login shell is asked to run, whichever it is: two words that csh, fish and restricted shells read alike. The
 * script comes on standard input, where none of their rules of quoting hold.
 */
export const SCRIPT_COMMAND = 'sh -s';

/**
 * Shows the lines of ~/.ssh/authorized_keys that hold a key.
 * @param mark begins each line of ours, since a login shell may print a greeting
 */
export function lookScript(blob: string, mark: string): string {
  return script(
    mark,
    `  [ -e "$file" ] || { ended; return; }
  while IFS= read -r row || [ -n "$row" ]; do
    case $row in *${quoted(blob)}*) say row "$row" ;; esac
  done < "$file" || return
  ended`,
  );
}

/**
 * Puts a line into ~/.ssh/authorized_keys, or takes some out. A line that is there is not put there twice. Only adding
 * touches the file in place, with one write: a file that is a link or has rights of its own keeps them.
 */
export function changeScript({ drop, add }: Change, mark: string): string {
  const steps = [drop.length > 0 ? dropping(drop) : '', add === '' ? '' : adding(add), '  ended'];
  return script(mark, steps.filter((step) => step !== '').join('\n'));
}

/** Reads what came back; what has no mark is others' talk. */
export function readScriptOutput(output: string, mark: string): ScriptSaid {
  const said = output.split('\n').flatMap((line) => {
    const match = /^(\S+) (row|loose|done) ?(.*)$/.exec(line);
    return match?.[1] === mark ? [{ what: match[2], text: match[3] ?? '' }] : [];
  });
  const texts = (wanted: string): string[] => said.flatMap(({ what, text }) => (what === wanted ? [text] : []));
  return { rows: texts('row'), loose: texts('loose'), done: said.some(({ what }) => what === 'done') };
}

/** A function, called in the last line: of a script that arrives in part, nothing is run. */
function script(mark: string, body: string): string {
  return `tunnel_authorize() {
  file=.ssh/authorized_keys
  say() { printf '%s %s %s\\n' ${quoted(mark)} "$1" "$2"; }
  has() {
    [ -e "$file" ] || return
    while IFS= read -r row || [ -n "$row" ]; do [ "$row" = "$1" ] && return; done < "$file"
    return 1
  }
  ended() {
    for place in . .ssh "$file"; do
      [ -z "$(find "$place" -prune \\( -perm -020 -o -perm -002 \\) 2> /dev/null)" ] || say loose "$place"
    done
    say done ''
  }
  umask 077
  CDPATH= cd -- "$HOME" || return
${body}
}
tunnel_authorize
`;
}

/** A last line without an end gets one first; what was put in is read back. */
function adding(line: string): string {
  return `  if ! has ${quoted(line)}; then
    if [ ! -d .ssh ]; then mkdir .ssh || return; fi
    gap=
    if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then gap='
'; fi
    printf '%s%s\\n' "$gap" ${quoted(line)} >> "$file" || return
    has ${quoted(line)} || return
    if command -v restorecon > /dev/null 2>&1; then restorecon .ssh "$file" > /dev/null 2>&1; fi
  fi`;
}

/** By a copy, which has the file's owner and mode, and takes its place in one step: a full disk or a lost line costs no login. */
function dropping(rows: readonly string[]): string {
  const patterns = rows.map(quoted).join(' | ');
  return `  if [ -h "$file" ]; then echo "$file is a symbolic link: change it by hand" >&2; return 1; fi
  copy="$file.tunnel.$$"
  cp -p "$file" "$copy" || return
  while IFS= read -r row || [ -n "$row" ]; do
    case $row in ${patterns}) ;; *) printf '%s\\n' "$row" || { rm -f "$copy"; return 1; } ;; esac
  done < "$file" > "$copy" || { rm -f "$copy"; return 1; }
  mv -f "$copy" "$file" || { rm -f "$copy"; return 1; }`;
}

/** A word of sh (POSIX.1, 2.2.2), whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
