import { GuerdonError, type ErrorCode } from "../error.ts";
import { withCommand } from "./command.ts";

/** 0 fine; 1 a finding, a failed threshold, a run that broke; 2 bad usage or input; 130 interrupted. */
const exits: Readonly<Record<ErrorCode, number>> = {
  usage: 2,
  input: 2,
  "missing-dependency": 2,
  unsupported: 2,
  io: 2,
  "non-finite": 1,
  coverage: 1,
  internal: 1,
  interrupted: 130,
};

/** A failure as the command line shows it: one sentence where we know what happened, the whole stack where we do not. */
export function explain(cause: unknown): { readonly exit: number; readonly code: string; readonly text: string } {
  if (cause instanceof GuerdonError && cause.code !== "internal")
    // What is quoted, say by a parser, may hold line breaks.
    return { exit: exits[cause.code], code: cause.code, text: `guerdon: ${withCommand(cause.message).replace(/\s*\n\s*/g, " ")}` };
  const stack = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  return {
    exit: 1,
    code: "internal",
    text: `guerdon: an error that should not happen. Please report it with the lines below and the command that you ran.\n\n${stack}`,
  };
}
