import { z } from 'zod';
import { TunnelError } from '../model/failure.ts';
import type { Method, Methods } from './messages.ts';

const names = z.array(z.string()).readonly();
const caller = z.object({ cwd: z.string(), authSock: z.string().exactOptional() });
const select = z.union([z.object({ names }), z.object({ tag: z.string() }), z.object({ all: z.literal(true) })]);
const nothing = z.object({}).transform((): Record<string, never> => ({}));
const attend = z.boolean();
const id = z.string();

/** What each method takes. Fields that a newer client adds are dropped, not refused. */
const PARAMS: { readonly [M in Method]: z.ZodType<Methods[M]['params']> } = {
  hello: z.object({ protocol: z.number(), version: z.string() }),
  up: z.object({ select, caller, attend }),
  down: z.object({ select, drainMs: z.number().min(0), caller }),
  restart: z.object({ select, caller, attend }),
  reload: z.object({ select, caller }),
  status: nothing,
  subscribe: z.object({ connections: z.boolean().exactOptional() }),
  attend: z.object({ names: names.nullable(), caller }),
  answer: z.object({ id, answer: z.string() }),
  decline: z.object({ id }),
  handOver: z.object({ program: z.string(), args: z.array(z.string()), env: z.record(z.string(), z.string()) }),
  stop: nothing,
};

export function isMethod(name: string): name is Method {
  return Object.hasOwn(PARAMS, name);
}

/**
 * The parameters of a request, checked: what a handler gets has the type that `Methods` promises.
 * @throws TunnelError PROTOCOL that names the field, never its value
 */
export function readParams<M extends Method>(method: M, params: unknown): Methods[M]['params'] {
  const read = PARAMS[method].safeParse(params);
  if (read.success) return read.data;
  const field = read.error.issues[0]?.path.join('.') ?? '';
  throw new TunnelError('PROTOCOL', `Cannot read the request ${method}: wrong ${field === '' ? 'parameters' : field}`);
}
