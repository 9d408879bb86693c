import { isIPv4 } from 'node:net';

/** linux/route.h. */
const RTF_UP = 0x1;
const RTF_GATEWAY = 0x2;

/** The IPv4 default gateway by the text of /proc/net/route (proc(5)); the smallest metric wins. */
export function gatewayInProcRoute(text: string): string | undefined {
  const routes = text
    .split('\n')
    .slice(1)
    .map((row) => row.trim().split(/\s+/))
    .filter(([, destination, , flags = '0', , , , mask]) => {
      const wanted = RTF_UP | RTF_GATEWAY;
      return destination === '00000000' && mask === '00000000' && (parseInt(flags, 16) & wanted) === wanted;
    })
    .map(([, , gateway = '', , , , metric = '0']) => ({ gateway: addressOf(gateway), metric: Number(metric) }))
    .sort((one, other) => one.metric - other.metric);
  return routes[0]?.gateway;
}

/** By what `route -n get default` of macOS and the BSDs prints. */
export function gatewayInRouteGet(text: string): string | undefined {
  const gateway = /^\s*gateway:\s*(\S+)$/m.exec(text)?.[1] ?? '';
  return isIPv4(gateway) ? gateway : undefined;
}

/** By what `route print -4 0.0.0.0` of Windows prints, in any language: network, mask, gateway, interface, metric. */
export function gatewayInRoutePrint(text: string): string | undefined {
  const routes = [...text.matchAll(/^\s*0\.0\.0\.0\s+0\.0\.0\.0\s+(\S+)\s+\S+\s+(\d+)\s*$/gm)]
    .map(([, gateway = '', metric]) => ({ gateway, metric: Number(metric) }))
    .filter(({ gateway }) => isIPv4(gateway))
    .sort((one, other) => one.metric - other.metric);
  return routes[0]?.gateway;
}

/** In the machine's own byte order: little endian wherever Node runs on Linux, but for s390x. */
function addressOf(hex: string): string {
  const bytes = [...Buffer.from(hex, 'hex')];
  return (LITTLE_ENDIAN ? bytes.reverse() : bytes).join('.');
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
