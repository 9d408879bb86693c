// What commands need that act without the supervisor: plans, a dial, the keychain. Loaded by whoever uses it, and no sooner.
import type { OfferedHostKeys } from './compose-host-key.ts';
import { composeEngine, type Engine } from './compose-engine.ts';
import { checkProfileText, planOfProfile, planResolver, tracePlan, type TracedPlan } from './compose-plan.ts';
import type { Paths } from './files/paths.ts';
import { UsedCodesFile } from './files/used-codes.ts';
import type { KnownHost } from './known-hosts/parse.ts';
import type { Ask } from './link/ask.ts';
import type { DialRequest, SessionTransport } from './link/transport.ts';
import type { Problem } from './model/failure.ts';
import type { RouterView } from './model/mapping.ts';
import type { HopPlan, Plan } from './model/plan.ts';
import type { Profile } from './model/profile.ts';
import { storedSecrets, vaultIn } from './compose-secrets.ts';
import { FOREGROUND_DEADLINE_MS, Keychain } from './secrets/keychain.ts';
import type { ReadSecret } from './secrets/read.ts';
import type { SecretStore } from './secrets/store.ts';

/** Where a command runs. */
export interface Place {
  readonly paths: Paths;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** What will run of a profile. Rejects as `planResolver` says. */
export function resolveProfile(nameOrPath: string, { paths, env, cwd }: Place): Promise<Plan> {
  return planResolver(paths, { env })(nameOrPath, { cwd });
}

/** As `resolveProfile`, with the source of every value. */
export function explainProfile(nameOrPath: string, { paths, env, cwd }: Place): Promise<TracedPlan> {
  return tracePlan(nameOrPath, { cwd }, paths, { env });
}

/**
 * The plan of a profile that is not written yet, or never will be. @param file where its relative paths begin beside
 * @throws PROFILE_INVALID
 */
export function planOf(profile: Profile, { env }: Place, file = ''): Promise<Plan> {
  return planOfProfile(profile, 'new', { env, file });
}

/** The parts that move bytes, for a tunnel in this process. */
export function openEngine(place: Place, onKeychainNote: OnKeychainNote): Engine {
  return composeEngine({
    loadDial: async () => {
      const { createDial } = await import('./ssh/dial.ts');
      return createDial({ readSecret: secretsOf(place, onKeychainNote) });
    },
    loadMapper: async () => {
      const { composeRouter } = await import('./compose-router.ts');
      return composeRouter({ paths: place.paths, onNote: onKeychainNote });
    },
  });
}

/** Every problem that the text would have in this file. */
export function checkText(text: string, file: string, { env }: Place): Promise<readonly Problem[]> {
  return checkProfileText(text, file, { env });
}

/** The keychain, for a command with a person in front of it. */
export function openKeychain(): SecretStore {
  return new Keychain({ deadlineMs: FOREGROUND_DEADLINE_MS });
}

/** The encrypted file, for a command with a person in front of it. @param keyFile opens it instead of the person */
export function openVault({ paths, env }: Place, ask: Ask, signal: AbortSignal, keyFile?: string): SecretStore {
  return vaultIn(paths, env, keyFile ?? env['TUNNEL_VAULT_KEY_FILE'])((question) => ask(question, signal));
}

/** Says why the keychain could not be read: of little interest to somebody who is asked instead. */
export type OnKeychainNote = (message: string) => void;

/** Makes one SSH connection from this process, with stored secrets; the caller closes it. */
export async function dialOnce(
  request: DialRequest,
  place: Place,
  onKeychainNote: OnKeychainNote,
): Promise<SessionTransport> {
  const { createDial } = await import('./ssh/dial.ts');
  const dial = createDial({
    readSecret: secretsOf(place, onKeychainNote),
    usedCodes: new UsedCodesFile(place.paths.usedCodesFile),
  });
  return dial(request);
}

/** Asks a server for its host keys; nothing is recorded for it. Rejects as a dial does. */
export async function lookAtHostKeys(
  request: DialRequest,
  place: Place,
  isEnough: (known: readonly KnownHost[]) => boolean,
  onKeychainNote: OnKeychainNote,
): Promise<OfferedHostKeys> {
  const { offeredHostKeys } = await import('./compose-host-key.ts');
  return offeredHostKeys(request, secretsOf(place, onKeychainNote), isEnough);
}

/** What the router of this machine says of itself; it is asked for nothing. Rejects with ROUTER_NOT_FOUND. */
export async function surveyRouter(
  { paths }: Place,
  signal: AbortSignal,
  onNote: (message: string) => void,
): Promise<RouterView> {
  const { composeRouter } = await import('./compose-router.ts');
  return composeRouter({ paths, onNote }).survey(signal);
}

/** Under which name, and in which files, a server's host key stands. */
export interface HostKeyPlaces {
  readonly name: string;
  /** Without the port: a key that stands there is taken too. */
  readonly fallbackName: string;
  readonly files: readonly string[];
}

export async function hostKeyPlaces(server: HopPlan): Promise<HostKeyPlaces> {
  const { hostKeyNames } = await import('./ssh/host-key.ts');
  return { ...hostKeyNames(server), files: server.knownHosts };
}

function secretsOf({ paths, env }: Place, onNote: (message: string) => void): ReadSecret {
  return storedSecrets({ paths, env, keychainMs: FOREGROUND_DEADLINE_MS, onNote });
}
