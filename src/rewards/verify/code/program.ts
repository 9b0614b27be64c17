import type { Value } from "./values.ts";

/** One use of a program in a sandbox. It never holds what is expected, except for assertions that run `inside`. */
export type Use =
  | { readonly kind: "output"; readonly stdin: string }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly unknown[] }
  | { readonly kind: "assert"; readonly code: string; readonly inside: boolean };

/** A program with its uses, as it is sent to a sandbox. */
export interface ProgramJob {
  readonly source: string;
  readonly typescript: boolean;
  readonly uses: readonly Use[];
  /** For all uses together. */
  readonly timeoutMs: number;
  readonly memoryMiB: number;
  /** The most characters that one use may write. */
  readonly outputLimit: number;
}

/** Why a use came to nothing. All of them are the program's doing. */
export type Failure =
  | "error" // it threw, or does not parse
  | "timeout"
  | "memory"
  | "output" // it wrote too much
  | "crash" // it brought the interpreter down
  | "forbidden" // it reached out of the sandbox
  | "assertion" // an assertion did not hold
  | "no-plain-data"; // it returned something that cannot leave the sandbox

export type Used =
  | { readonly kind: "output"; readonly stdout: string }
  | { readonly kind: "value"; readonly value: Value }
  | { readonly kind: "held" }
  | Failed;

export interface Failed {
  readonly kind: Failure;
  readonly message: string;
}

/** What a sandbox answers: one entry for each use, in order. */
export interface ProgramResult {
  readonly used: readonly Used[];
}
