import { allNamed, escapeXml, firstNamed, parseXml, textOf, type XmlElement } from './xml-codec.ts';

/** What leads to the Internet, in the order of preference: the second version grants another port where one is taken. */
const SERVICES = [
  'urn:schemas-upnp-org:service:WANIPConnection:2',
  'urn:schemas-upnp-org:service:WANIPConnection:1',
  'urn:schemas-upnp-org:service:WANPPPConnection:1',
] as const;
export type ServiceType = (typeof SERVICES)[number];

/** Where a router takes orders. */
export interface UpnpService {
  readonly type: ServiceType;
  readonly controlUrl: URL;
}

export type SoapResponse =
  | { readonly kind: 'answer'; readonly values: ReadonlyMap<string, string> }
  /** UPnP Device Architecture section 3.3: an error code. */
  | { readonly kind: 'fault'; readonly code: number; readonly description: string };

/** A search for gateways (UPnP Device Architecture 1.1, section 1.3.2): devices of the second version answer to the first. */
export function searchMessage(host: string): Buffer {
  const lines = [
    'M-SEARCH * HTTP/1.1',
    `HOST: ${host}:1900`,
    'MAN: "ssdp:discover"',
    'MX: 1',
    'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1',
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/**
 * Where the answer to a search says that the router describes itself.
 * @param gateway an answer that points anywhere else is not followed
 */
export function descriptionUrl(bytes: Buffer, gateway: string): URL | undefined {
  const [status = '', ...headers] = bytes.toString('latin1').split(/\r?\n/);
  if (!/^HTTP\/1\.[01] 200\b/.test(status)) return undefined;
  const location = headers
    .map((line) => /^location:\s*(\S+)\s*$/i.exec(line)?.[1])
    .find((value) => value !== undefined);
  return location === undefined ? undefined : urlAt(location, undefined, gateway);
}

/** The services of a description that lead ports here, the best first. */
export function servicesIn(text: string, location: URL, gateway: string): readonly UpnpService[] {
  const root = parseXml(text);
  if (root === undefined) return [];
  const base = urlAt(textOf(root, 'URLBase') ?? '', undefined, gateway) ?? location;
  const found = allNamed(root, 'service').flatMap((service): UpnpService[] => {
    const type = SERVICES.find((one) => one === textOf(service, 'serviceType'));
    const controlUrl = urlAt(textOf(service, 'controlURL') ?? '', base, gateway);
    return type === undefined || controlUrl === undefined ? [] : [{ type, controlUrl }];
  });
  return found.sort((one, other) => SERVICES.indexOf(one.type) - SERVICES.indexOf(other.type));
}

/** The body of a call (UPnP Device Architecture section 3.2.1). */
export function soapBody(
  type: ServiceType,
  action: string,
  args: readonly (readonly [string, string | number])[],
): string {
  const inner = args.map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`).join('');
  return (
    '<?xml version="1.0"?>\r\n' +
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">' +
    `<s:Body><u:${action} xmlns:u="${type}">${inner}</u:${action}></s:Body></s:Envelope>\r\n`
  );
}

/** @returns undefined for what is no answer to that call */
export function readSoap(text: string, action: string): SoapResponse | undefined {
  const root = parseXml(text);
  const body = root?.name === 'Envelope' ? root.children.find(({ name }) => name === 'Body') : undefined;
  if (body === undefined) return undefined;
  const fault = firstNamed(body, 'UPnPError');
  if (fault !== undefined) return readFault(fault);
  const response = body.children.find(({ name }) => name === `${action}Response`);
  if (response === undefined) return undefined;
  return { kind: 'answer', values: new Map(response.children.map(({ name, text: value }) => [name, value])) };
}

function readFault(fault: XmlElement): SoapResponse | undefined {
  const code = Number(textOf(fault, 'errorCode') ?? '');
  return Number.isInteger(code) && code > 0
    ? { kind: 'fault', code, description: textOf(fault, 'errorDescription') ?? '' }
    : undefined;
}

/** A place at the router itself; whatever leads elsewhere is none. */
function urlAt(text: string, base: URL | undefined, gateway: string): URL | undefined {
  if (text === '' || !URL.canParse(text, base?.href)) return undefined;
  const url = new URL(text, base?.href);
  return url.protocol === 'http:' && url.hostname === gateway && url.username === '' ? url : undefined;
}
