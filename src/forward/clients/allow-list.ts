import { BlockList, isIP } from 'node:net';

/** Why a client that is not on it is turned away. */
export const NOT_ALLOWED = 'the address is not in `allow`';

/** The `allow` of a listener: addresses of both families. */
export class AllowList {
  readonly #list: BlockList | undefined;

  /** @param ranges in CIDR form or single addresses; null lets everybody in. @throws RangeError on anything else */
  constructor(ranges: readonly string[] | null) {
    this.#list = ranges === null ? undefined : listOf(ranges);
  }

  /** A client on a unix socket has no address: the file's mode has judged it. */
  has(address: string): boolean {
    if (this.#list === undefined) return true;
    const family = isIP(address);
    return family === 0 || this.#list.check(address, family === 6 ? 'ipv6' : 'ipv4');
  }
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix, ...rest] = range.split('/');
    const family = isIP(address);
    if (family === 0 || rest.length > 0) throw new RangeError(`Not an address range: ${range}`);
    const most = family === 6 ? 128 : 32;
    const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : NaN;
    if (!(bits <= most)) throw new RangeError(`Not an address range: ${range}`);
    list.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}
