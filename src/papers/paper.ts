import type { TextEnvironment } from "../environments/environment.ts";
import type { Method } from "../training/method.ts";
import type { Claim, Family } from "./claim.ts";

/** A paper: what it says in our words, what its method is made of, and a claim that anyone can run. */
export interface Paper {
  /** Lower-case letters, digits and dashes; the file's name. */
  readonly slug: string;
  readonly title: string;
  readonly year: number;
  /** For instance "2509.23962"; null where there is none. */
  readonly arxiv: string | null;
  readonly family: Family;
  /** Our own summary: the problem and the idea, two or three sentences. */
  readonly summary: string;
  /** The shared parts that the method is made of, as "room/name": "credit/center", "objectives/clippedSurrogate". */
  readonly parts: readonly string[];
  /**
   * The method on language models, where it is made for them: `guerdon train countdown --method <slug>` trains with it. What is not given
   * has the defaults of the built-in jobs.
   */
  readonly method?: (setting: { readonly environment: TextEnvironment }) => Method;
  readonly claim: Claim;
}
