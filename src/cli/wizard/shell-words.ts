import { TunnelError } from '../../model/failure.ts';

/**
 * Splits a command line into words as a POSIX shell does: blanks, quotes, backslashes and continued lines; `~` and `%h`
 * are kept for their reader. Nothing is run or expanded.
 * @throws USAGE for a quote that does not end, and for what only a shell could do: variables, pipes, several commands
 */
export function shellWords(line: string): string[] {
  const text = line.replace(/\\\r?\n/g, '');
  const words: string[] = [];
  let at = 0;
  while (at < text.length) {
    at += /^\s*/.exec(text.slice(at))?.[0].length ?? 0;
    if (at >= text.length) break;
    const word = readWord(text, at);
    words.push(word.text);
    at = word.end;
  }
  return words;
}

function readWord(text: string, start: number): { readonly text: string; readonly end: number } {
  let word = '';
  let at = start;
  while (at < text.length) {
    const sign = text.charAt(at);
    if (/\s/.test(sign)) break;
    if (sign === "'" || sign === '"') {
      const quoted = sign === "'" ? singleQuoted(text, at) : doubleQuoted(text, at);
      word += quoted.text;
      at = quoted.end;
    } else if (sign === '\\') {
      word += text.charAt(at + 1);
      at += 2;
    } else {
      if (/[$`|&;<>()]/.test(sign)) throw onlyAShell(sign);
      word += sign;
      at += 1;
    }
  }
  return { text: word, end: at };
}

function singleQuoted(text: string, start: number): { readonly text: string; readonly end: number } {
  const close = text.indexOf("'", start + 1);
  if (close < 0) throw unended("'");
  return { text: text.slice(start + 1, close), end: close + 1 };
}

/** POSIX 2.2.3: inside double quotes a backslash quotes only `$`, a backquote, a double quote and itself. */
function doubleQuoted(text: string, start: number): { readonly text: string; readonly end: number } {
  let word = '';
  for (let at = start + 1; at < text.length; at += 1) {
    const sign = text.charAt(at);
    if (sign === '"') return { text: word, end: at + 1 };
    if (sign === '$' || sign === '`') throw onlyAShell(sign);
    if (sign === '\\' && /[$`"\\]/.test(text.charAt(at + 1))) at += 1;
    word += text.charAt(at);
  }
  throw unended('"');
}

function unended(quote: string): TunnelError {
  return new TunnelError('USAGE', `Cannot read the command line: a ${quote} is not closed`);
}

function onlyAShell(sign: string): TunnelError {
  return new TunnelError('USAGE', `Cannot read the command line: ${sign} is for a shell, and none runs here`, {
    hint: 'Write out what it stands for, or quote it.',
  });
}
