/** An element of a router's answer. Names are without their namespace prefix: routers choose those as they like. */
export interface XmlElement {
  readonly name: string;
  readonly children: readonly XmlElement[];
  /** Its own text, without that of its children, trimmed. */
  readonly text: string;
}

/** No router's description comes near these. */
const DEEPEST = 32;
const MOST_ELEMENTS = 4_096;

/**
 * Reads the XML that UPnP uses: elements, text, CDATA, the five entities and character references. A document type, and so
 * every entity of its own, is refused: nothing here can grow beyond the text itself.
 * @returns undefined for what is not well formed, or larger than any router's
 */
export function parseXml(text: string): XmlElement | undefined {
  const root: Open = { name: '', children: [], texts: [] };
  const open: Open[] = [root];
  let elements = 0;
  let at = 0;
  for (;;) {
    const token = nextToken(text, at);
    if (token === undefined) break;
    at = token.end;
    const top = open.at(-1);
    if (top === undefined) return undefined;
    if (token.kind === 'text') top.texts.push(token.text);
    if (token.kind === 'open') {
      const element: Open = { name: token.name, children: [], texts: [] };
      top.children.push(element);
      elements += 1;
      if (elements > MOST_ELEMENTS || open.length > DEEPEST) return undefined;
      if (!token.empty) open.push(element);
    }
    if (token.kind === 'close' && (open.length === 1 || open.pop()?.name !== token.name)) return undefined;
  }
  const [only, ...others] = root.children;
  if (at !== text.length || open.length !== 1 || only === undefined || others.length > 0) return undefined;
  return root.texts.join('').trim() === '' ? closed(only) : undefined;
}

/** The first element of that name, at any depth. */
export function firstNamed(element: XmlElement, name: string): XmlElement | undefined {
  if (element.name === name) return element;
  for (const child of element.children) {
    const found = firstNamed(child, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Every element of that name, at any depth, in order. */
export function allNamed(element: XmlElement, name: string): readonly XmlElement[] {
  const own = element.name === name ? [element] : [];
  return [...own, ...element.children.flatMap((child) => allNamed(child, name))];
}

/** The text of a child. */
export function textOf(element: XmlElement, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text;
}

/** Text as it stands in an element. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

interface Open {
  readonly name: string;
  readonly children: Open[];
  readonly texts: string[];
}

type Token =
  | { readonly kind: 'text'; readonly text: string; readonly end: number }
  | { readonly kind: 'open'; readonly name: string; readonly empty: boolean; readonly end: number }
  | { readonly kind: 'close'; readonly name: string; readonly end: number }
  | { readonly kind: 'skip'; readonly end: number };

/** Each alternative begins with its own signs and none repeats a part that another repeats: it reads in linear time. */
const TOKEN =
  /([^<]+)|<!\[CDATA\[([^]*?)\]\]>|<\/([A-Za-z_][\w.:-]*)\s*>|<([A-Za-z_][\w.:-]*)((?:\s+[A-Za-z_][\w.:-]*\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|<\?[^]*?\?>|<!--[^]*?-->/y;

function nextToken(text: string, at: number): Token | undefined {
  TOKEN.lastIndex = at;
  const match = TOKEN.exec(text);
  if (match === null) return undefined;
  const end = at + match[0].length;
  const [, plain, cdata, closing, opening, , slash] = match;
  if (plain !== undefined) return { kind: 'text', text: decoded(plain), end };
  if (cdata !== undefined) return { kind: 'text', text: cdata, end };
  if (closing !== undefined) return { kind: 'close', name: bare(closing), end };
  if (opening !== undefined) return { kind: 'open', name: bare(opening), empty: slash === '/', end };
  return { kind: 'skip', end };
}

function bare(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** What is no entity of XML itself stays as it is written. */
function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-fA-F]{1,6})|([a-z]{2,4}));/g, (whole, decimal, hex, name) => {
    if (typeof name === 'string') return ENTITIES[name] ?? whole;
    const code = typeof decimal === 'string' ? Number(decimal) : parseInt(String(hex), 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

function closed({ name, children, texts }: Open): XmlElement {
  return { name, children: children.map(closed), text: texts.join('').trim() };
}
