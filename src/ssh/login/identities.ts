import { certifiedKey } from '../../known-hosts/certificate.ts';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import { AgentClient, type AgentKey } from '../keys/agent.ts';
import type { HopContext } from '../hop-context.ts';
import { publicNeighbour, readKeyFile, type KeyFile } from '../keys/key-file.ts';
import { plainAlgorithm } from '../keys/signature-algorithm.ts';
import { WireReader } from '../../model/wire.ts';

/** One way to prove who we are with a key. */
export interface Identity {
  /** For messages: the file, or the agent's comment. */
  readonly label: string;
  /** What the server is shown; may have to ask for a passphrase where a file hides even its public half. */
  reveal(): Promise<{ readonly keyType: string; readonly blob: Buffer }>;
  /** Called after the server has said that it would take the key. @returns the signature with its name */
  sign(data: Buffer, algorithm: string): Promise<Buffer>;
}

/**
 * Everything to log in to a hop with, in the order of OpenSSH's pubkey_prepare: certificates, keys of the agent that
 * the configuration names, the agent's other keys (not with IdentitiesOnly), key files. What cannot be used is left out
 * and noted with its remedy.
 * @param leave told of the key files that were named and cannot be used, a sentence each
 */
export async function collectIdentities(
  context: HopContext,
  leave: (why: string) => void,
): Promise<readonly Identity[]> {
  const { hop } = context;
  const files = await readFiles(context, leave);
  const agent = agentOf(context);
  const held = agent === undefined ? [] : await agentKeys(agent, context);
  const named = new Set(files.flatMap((file) => [file.blob, file.certificate].map(asText)));

  const inAgent = (key: AgentKey): Identity => agentIdentity(agent, key, context);
  const configured = held.filter((key) => named.has(asText(key.blob)));
  const others = hop.identitiesOnly ? [] : held.filter((key) => !named.has(asText(key.blob)));
  const heldBlobs = new Set(held.map((key) => asText(key.blob)));
  const onDisk = files.filter((file) => !file.publicOnly && !heldBlobs.has(asText(file.blob)));
  return [
    ...(await certificates(files, held, agent, context)),
    ...configured.map(inAgent),
    ...others.map(inAgent),
    ...onDisk.map((file) => fileIdentity(file, context)),
  ];
}

async function readFiles(context: HopContext, leave: (why: string) => void): Promise<KeyFile[]> {
  const files: KeyFile[] = [];
  for (const { file, explicit } of context.hop.identities) {
    try {
      const read = await readKeyFile(file, context.signal);
      if (read !== undefined) files.push(read);
      else if (explicit) leave(`Cannot use the key ${file}: there is no such file`);
    } catch (error) {
      leave(unusableText(error, context));
    }
  }
  return files;
}

function agentOf({ hop, agentSocket }: HopContext): AgentClient | undefined {
  const path = hop.agent === 'environment' ? agentSocket : hop.agent;
  return path === null || path === undefined || path === '' ? undefined : new AgentClient(path);
}

async function agentKeys(agent: AgentClient, context: HopContext): Promise<readonly AgentKey[]> {
  try {
    return await agent.keys(context.signal);
  } catch (error) {
    context.signal.throwIfAborted();
    context.onNote(`No keys from the SSH agent: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  }
}

/** Certificates beside the key files and of CertificateFile, each with whoever holds its key. */
async function certificates(
  files: readonly KeyFile[],
  held: readonly AgentKey[],
  agent: AgentClient | undefined,
  context: HopContext,
): Promise<Identity[]> {
  const blobs: { readonly label: string; readonly blob: Buffer }[] = files.flatMap(({ file, certificate }) =>
    certificate === undefined ? [] : [{ label: `${file}-cert.pub`, blob: certificate }],
  );
  for (const file of context.hop.certificates) {
    const blob = await certificateIn(file, context);
    if (blob !== undefined) blobs.push({ label: file, blob });
  }
  return blobs.flatMap(({ label, blob }) => {
    if (held.some((key) => key.blob.equals(blob))) return []; // the agent offers it by itself
    const key = keyIn(blob);
    const holder = held.find((one) => key !== undefined && one.blob.equals(key));
    const file = files.find((one) => key !== undefined && one.blob?.equals(key) === true && !one.publicOnly);
    const signer =
      holder !== undefined
        ? agentIdentity(agent, holder, context)
        : file === undefined
          ? undefined
          : fileIdentity(file, context);
    if (signer === undefined) {
      context.onNote(`Cannot use the certificate ${label}: neither a key file nor the agent holds its key`);
      return [];
    }
    return [
      {
        label,
        reveal: () => Promise.resolve({ keyType: typeOf(blob), blob }),
        sign: (data, algorithm) => signer.sign(data, algorithm),
      },
    ];
  });
}

async function certificateIn(file: string, context: HopContext): Promise<Buffer | undefined> {
  try {
    const blob = await publicNeighbour(file);
    if (blob === undefined) context.onNote(`Cannot use the certificate ${file}: there is no certificate in it`);
    return blob;
  } catch (error) {
    context.onNote(unusableText(error, context));
    return undefined;
  }
}

/** Undefined for a type of certificate that we do not know: nobody holds its key then. */
function keyIn(certificate: Buffer): Buffer | undefined {
  try {
    return certifiedKey(certificate);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function fileIdentity(file: KeyFile, context: HopContext): Identity {
  return {
    label: file.file,
    reveal: async () => {
      const blob = file.blob ?? (await file.unlock(context)).blob;
      return { keyType: typeOf(blob), blob };
    },
    sign: async (data, algorithm) => (await file.unlock(context)).sign(data, algorithm),
  };
}

function agentIdentity(agent: AgentClient | undefined, key: AgentKey, context: HopContext): Identity {
  return {
    label: `agent key ${cleanLine(key.comment, 80)}`,
    reveal: () => Promise.resolve(key),
    sign: async (data, algorithm) => {
      if (agent === undefined) throw new Error('there is no agent');
      return context.untimed(() => agent.sign(key.blob, data, plainAlgorithm(algorithm), context.signal));
    },
  };
}

function unusableText(error: unknown, context: HopContext): string {
  context.signal.throwIfAborted();
  if (!(error instanceof TunnelError)) throw error;
  return `${error.message}. ${error.hint}`;
}

function typeOf(blob: Buffer): string {
  return new WireReader(blob).text();
}

function asText(blob: Buffer | undefined): string | undefined {
  return blob?.toString('base64');
}
