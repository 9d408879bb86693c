/**
 * Text that others wrote (a server, a file, a process), made safe to show: C0 but newline and tab, DEL, C1 and the
 * bidirectional controls become visible escapes, so that nothing in it can act on a terminal or forge a log line.
 * @param limit most characters kept; what is cut is said
 */
export function clean(text: string, limit = 4096): string {
  const kept = text.length > limit ? `${text.slice(0, limit)}… (${text.length - limit} more characters)` : text;
  return kept.replace(UNSAFE, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** As `clean`, on one line: for a message, a table cell or a log field. */
export function cleanLine(text: string, limit = 500): string {
  return clean(text.trim().replace(/\s*[\r\n]+\s*/g, ' / '), limit).replace(/\t/g, ' ');
}

/** C0 without \t and \n, DEL, C1, line and paragraph separator, bidi marks, embeddings, overrides and isolates. */
const UNSAFE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
