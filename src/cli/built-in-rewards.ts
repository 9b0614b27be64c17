import type { Reward } from "../rewards/index.ts";

/** The rewards that `--reward` knows by name: those that need no options. */
export const builtInRewards: Readonly<Record<string, () => Promise<Reward<never>>>> = {};
