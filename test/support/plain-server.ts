import type { Connection } from 'ssh2';

const STRICT = 'kex-strict-s-v00@openssh.com';

/** Makes a connection of an ssh2 server behave as one from before strict key exchange (2023). For `onConnection`. */
export function withoutStrictKex(connection: Connection): void {
  const protocol = Reflect.get(connection, '_protocol') as object;
  const offer = Reflect.get(protocol, '_offer') as { constructor: new (lists: unknown) => unknown; lists: OfferLists };
  const { kex, serverHostKey, cs } = offer.lists;
  const way = Object.fromEntries(
    Object.entries(cs).map(([name, { array }]) => [name, array.filter((one) => one !== '')]),
  );
  const names = kex.array.filter((name) => name !== STRICT);
  const lists = { kex: names, serverHostKey: serverHostKey.array, cs: way, sc: way };
  Reflect.set(protocol, '_offer', Reflect.construct(offer.constructor, [lists]));
  Reflect.set(protocol, '_strictMode', false);
}

interface OfferLists {
  readonly kex: { readonly array: readonly string[] };
  readonly serverHostKey: { readonly array: readonly string[] };
  readonly cs: Readonly<Record<string, { readonly array: readonly string[] }>>;
}
