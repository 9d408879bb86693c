import { cleanLine } from '../model/clean.ts';

const FORM = 'write BIND -> TARGET, such as localhost:113 -> pop.example.org:113';

/** What is wrong with a line that `parseLocalForward` cannot read, after its subject: a port, where that is all. */
export function forwardMistake(text: string): string {
  const arrow = /^(.*?\S)\s*->\s*(\S.*)$/.exec(text.trim());
  const [, bind = '', target = ''] = arrow ?? [];
  const why = arrow === null ? largePort(text) : (portMistake(bind, 0) ?? portMistake(target, 1));
  return why === undefined ? `is no forward: ${FORM}` : `is no forward: ${why}`;
}

/** Of one end, where its host could be one. @param least 0 where a free port may be asked for */
function portMistake(end: string, least: 0 | 1): string | undefined {
  const [, host, port] = /^(\[[^[\]]*\]|[^:[\]\s]*)(?::(\d*))?$/.exec(end) ?? [];
  if (host === undefined || end === 'auto') return undefined;
  if (port === undefined && /^\d+$/.test(host)) return least === 0 ? outOfRange(host, end) : undefined;
  if (port === undefined || port === '') return `${shown(end)} has no port: write ${shown(host)}:PORT`;
  return outOfRange(port, end) ?? (Number(port) < least ? rangeText(port, end) : undefined);
}

/** In the form of `ssh -L`, where any of the parts may be a port. */
function largePort(text: string): string | undefined {
  const port = text.split(':').find((part) => /^\d{5,}$/.test(part) && Number(part) > 65_535);
  return port === undefined || !text.includes(':') ? undefined : rangeText(port, text);
}

function outOfRange(port: string, end: string): string | undefined {
  return Number(port) > 65_535 ? rangeText(port, end) : undefined;
}

function rangeText(port: string, where: string): string {
  return `the port ${shown(port)} of ${shown(where)} is out of range, a port is 1 to 65535`;
}

function shown(text: string): string {
  return cleanLine(text, 80);
}
