import { paper as canon } from "./canon.ts";
import type { Paper } from "./paper.ts";

/** Every paper whose claim can be run, in the order in which they are shown. */
export const papers: readonly Paper[] = [canon];
