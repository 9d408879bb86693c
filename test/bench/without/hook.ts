/**
 * A loader of Node that puts one module in the place of another, so that a lever of the product can be taken away without a switch for it in
 * the product. The module that takes the place may import the one that it stands in for.
 */
import type { InitializeHook, ResolveHook } from 'node:module';

/** Addresses of modules, and of what is loaded in their place. */
export type StandIns = Readonly<Record<string, string>>;

let standIns: StandIns = {};

export const initialize: InitializeHook<StandIns> = (given) => {
  standIns = given;
};

export const resolve: ResolveHook = async (specifier, context, next) => {
  const found = await next(specifier, context);
  const url = standIns[found.url];
  return url === undefined || context.parentURL === url ? found : { ...found, url };
};
