/** One line of ssh_config that says something. */
export interface Directive {
  /** In lower case. */
  readonly keyword: string;
  /** What follows the keyword, as it stands. */
  readonly rest: string;
  /** The same in words: quotes are gone, a comment is left out (argv_split of OpenSSH's misc.c). */
  readonly words: readonly string[];
}

/** These take the rest of their line as it stands, quotes and # included: it is a shell's (parse_command in readconf.c). */
const WHOLE_LINE = new Set([
  'proxycommand',
  'proxyjump',
  'localcommand',
  'remotecommand',
  'knownhostscommand',
  'match',
]);

/**
 * Reads one line; undefined for a blank one and a comment.
 * @throws RangeError for a quote that does not end and a keyword without a value
 */
export function directiveOf(line: string): Directive | undefined {
  const text = line.replace(/[\s\f]+$/, '');
  const match = /^\s*"?([^\s="#][^\s="]*)"?(?:\s*=\s*|\s+|$)(.*)$/s.exec(text);
  if (match?.[1] === undefined) return undefined;
  const keyword = match[1].toLowerCase();
  const rest = match[2] ?? '';
  const words = WHOLE_LINE.has(keyword) ? [rest] : lineWords(rest);
  if (words.length === 0 || words[0] === '') throw new RangeError(`${match[1]} has no value`);
  return { keyword, rest, words };
}

/** Words between blanks; either quote holds blanks together, a backslash keeps the next quote, backslash or blank. */
function lineWords(text: string): string[] {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (/[ \t]/.test(text.charAt(at))) at += 1;
    if (at >= text.length || text.charAt(at) === '#') return words;
    const { word, end } = wordAt(text, at);
    words.push(word);
    at = end;
  }
}

function wordAt(text: string, start: number): { readonly word: string; readonly end: number } {
  let word = '';
  let quote = '';
  let at = start;
  for (; at < text.length; at += 1) {
    const sign = text.charAt(at);
    const next = text.charAt(at + 1);
    if (sign === '\\' && (/['"\\]/.test(next) || (quote === '' && next === ' '))) {
      word += next;
      at += 1;
    } else if (quote === '' && /[ \t]/.test(sign)) break;
    else if (quote === '' && /['"]/.test(sign)) quote = sign;
    else if (sign === quote) quote = '';
    else word += sign;
  }
  if (quote !== '') throw new RangeError('a quote does not end');
  return { word, end: at };
}

/** Criteria of a Match line: words between blanks and `=`, double quotes hold them together (strdelim of misc.c). */
export function matchWords(text: string): readonly string[] {
  const words: string[] = [];
  for (const [, quoted, bare] of text.matchAll(/"([^"]*)"|([^\s="]+)/g)) {
    if (bare?.startsWith('#') === true) break;
    words.push(quoted ?? bare ?? '');
  }
  return words;
}

/**
 * A pattern of ssh_config(5): * and ? and nothing else. Names compare without regard to case. Going back to the last star
 * alone is enough, and keeps a pattern of many stars from taking for ever.
 */
export function matchesPattern(text: string, pattern: string): boolean {
  let at = 0;
  let next = 0;
  let star = -1; // the last one seen, and the place in the text up to which it has been tried
  let tried = 0;
  while (at < text.length) {
    if (pattern[next] === '*') {
      star = next++;
      tried = at;
    } else if (pattern[next] === '?' || pattern[next] === text[at]) {
      next += 1;
      at += 1;
    } else if (star >= 0) {
      next = star + 1;
      at = ++tried;
    } else return false;
  }
  while (pattern[next] === '*') next += 1;
  return next === pattern.length;
}

/** A list of patterns: one that stands after ! and matches refuses, whatever the others say. */
export function matchesPatterns(text: string, patterns: readonly string[]): boolean {
  if (patterns.some((pattern) => pattern.startsWith('!') && matchesPattern(text, pattern.slice(1)))) return false;
  return patterns.some((pattern) => !pattern.startsWith('!') && matchesPattern(text, pattern));
}
