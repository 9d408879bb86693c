import type { FailureFacts } from '../model/failure.ts';
import type { Caller, OpenQuestion, Selection, UpTunnel } from '../model/request.ts';
import type { StatusEvent, StatusSnapshot } from '../model/status.ts';

/** Raised when an older client or supervisor could misread a message. */
export const PROTOCOL_VERSION = 1;

/** Every request and its answer (JSON-RPC 2.0 over newline-delimited JSON). */
export interface Methods {
  /** Must come first. A client of another protocol version is told so and may still ask for `stop`. */
  hello: {
    params: { readonly protocol: number; readonly version: string };
    result: { readonly protocol: number; readonly version: string; readonly pid: number; readonly startedAt: string };
  };
  /** Resolves, checks and starts; answers before the links are up. `attend`: ask me while I am connected, and tell me every note as the notification `event`. */
  up: {
    params: { readonly select: Selection; readonly caller: Caller; readonly attend: boolean };
    result: { readonly tunnels: readonly UpTunnel[] };
  };
  /** Answers when all of them are down. */
  down: {
    params: { readonly select: Selection; readonly drainMs: number; readonly caller: Caller };
    result: { readonly tunnels: readonly string[] };
  };
  restart: {
    params: { readonly select: Selection; readonly caller: Caller; readonly attend: boolean };
    result: { readonly tunnels: readonly UpTunnel[] };
  };
  reload: {
    params: { readonly select: Selection; readonly caller: Caller };
    result: { readonly tunnels: readonly UpTunnel[] };
  };
  status: { params: Record<string, never>; result: StatusSnapshot };
  /**
   * Answers with the snapshot; every later event comes as the notification `event`. `connections` false leaves out those that tell of
   * a finished connection: there may be thousands a second.
   */
  subscribe: { params: { readonly connections?: boolean }; result: StatusSnapshot };
  /** This connection's person answers questions of these tunnels (null: of all), and waiting ones log in again now. Notes come as with `up`. */
  attend: {
    params: { readonly names: readonly string[] | null; readonly caller: Caller };
    result: { readonly waiting: readonly string[] };
  };
  answer: { params: { readonly id: string; readonly answer: string }; result: { readonly accepted: boolean } };
  /** This person will not answer; the question stays open for others. */
  decline: { params: { readonly id: string }; result: { readonly accepted: boolean } };
  /**
   * Starts the supervisor that takes the place of this one, and answers once it serves; this one takes no new clients then.
   * PROTOCOL where it cannot be done this way, HANDOVER_FAILED where the next one did not come up: this one goes on then.
   */
  handOver: {
    params: {
      readonly program: string;
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
    };
    result: { readonly pid: number };
  };
  /** Ends the supervisor; what was wanted is kept for the next one. */
  stop: { params: Record<string, never>; result: Record<string, never> };
}
export type Method = keyof Methods;

/** What the supervisor sends by itself. */
export interface Notifications {
  event: StatusEvent;
  question: OpenQuestion;
  /** Answered elsewhere, or the login ended. */
  withdrawn: { readonly id: string };
}
export type Notification = keyof Notifications;

/** `error.data` of a JSON-RPC error. */
export type ErrorData = FailureFacts;
