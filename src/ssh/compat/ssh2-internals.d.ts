/** The files inside ssh2 1.17.0 that we read beside its public face, with just what we use of them. */
declare module 'ssh2/lib/protocol/crypto.js' {
  const crypto: { readonly bindingAvailable: boolean };
  export default crypto;
}
declare module 'ssh2/lib/protocol/constants.js' {
  const constants: {
    readonly SUPPORTED_KEX: readonly string[];
    readonly SUPPORTED_SERVER_HOST_KEY: readonly string[];
    readonly SUPPORTED_CIPHER: readonly string[];
    readonly SUPPORTED_MAC: readonly string[];
  };
  export default constants;
}
declare module 'ssh2/lib/protocol/utils.js' {
  const utils: { sendPacket(protocol: object, packet: Buffer): boolean };
  export default utils;
}
