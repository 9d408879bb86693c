import { isMap, isScalar, isSeq, YAMLSeq, type Document, type YAMLMap } from 'yaml';
import { parseHop } from '../model/hop-spec.ts';
import { edited } from './edit.ts';

/**
 * Has the SSH server, the last entry of `via`, be logged in to with this key file alone: `identity`, and no agent, which would be
 * asked first. A server in one word becomes a table; comments stay. @throws RangeError where the text is no profile with a server
 */
export function setServerKey(text: string, keyFile: string): string {
  return edited(text, (document) => {
    const server = serverTable(document);
    put(server, 'identity', listOf(document, keyFile));
    const agent = server.get('agent', true);
    if (isScalar(agent)) agent.value = false;
    else server.set('agent', false);
  });
}

/** The table of the last entry, made of one word where it is one. */
function serverTable(document: Document): YAMLMap {
  const via = document.get('via', true);
  const path = isSeq(via) ? ['via', via.items.length - 1] : ['via'];
  const entry = document.getIn(path, true);
  if (isMap(entry)) return entry;
  const hop = isScalar(entry) ? parseHop(String(entry.value)) : undefined;
  if (!isScalar(entry) || hop === undefined) throw new RangeError('The profile names no SSH server');
  const { host, port, user } = hop;
  const fields = Object.entries({ host, port, user }).filter(([, value]) => value !== undefined);
  const table = document.createNode(Object.fromEntries(fields));
  const comments = [entry.commentBefore, entry.comment].filter((comment) => typeof comment === 'string');
  if (comments.length > 0) table.commentBefore = comments.join('\n');
  document.setIn(path, table);
  return table;
}

function listOf(document: Document, word: string): YAMLSeq {
  const list = new YAMLSeq(document.schema);
  list.add(document.createNode(word));
  list.flow = true;
  return list;
}

/** A comment beside the old value speaks of the field. */
function put(table: YAMLMap, name: string, value: YAMLSeq): void {
  const old = table.get(name, true);
  if ((isScalar(old) || isSeq(old)) && typeof old.comment === 'string') value.comment = old.comment;
  table.set(name, value);
}
