import { z } from "zod";
import { GuerdonError } from "../../../error.ts";

/** A test of a program. What it expects stays outside of the sandbox; see code-tests.ts. */
export type CodeTest =
  /** The program is run with this input; its output must be the same, see `sameOutput`. */
  | { readonly kind: "output"; readonly stdin: string; readonly stdout: string }
  /** The function of the program is called with these arguments and must return this value, see `sameValue`. */
  | { readonly kind: "call"; readonly name: string; readonly args: readonly unknown[]; readonly returns: unknown }
  /** Code in the program's language that must run without throwing. Only with `inside` does the program's own interpreter run it. */
  | { readonly kind: "assert"; readonly code: string; readonly inside: boolean };

const json = z.unknown();
const one = z.union([
  z.string().transform((code): CodeTest => ({ kind: "assert", code, inside: false })),
  z
    .object({ assert: z.string(), inside: z.boolean().default(false) })
    .transform(({ assert, inside }): CodeTest => ({ kind: "assert", code: assert, inside })),
  z.object({ stdin: z.string().default(""), stdout: z.string() }).transform((test): CodeTest => ({ kind: "output", ...test })),
  z
    .object({ input: z.string(), output: z.string() })
    .transform(({ input, output }): CodeTest => ({ kind: "output", stdin: input, stdout: output })),
  z
    .object({ call: z.string(), args: z.array(json).default([]), returns: json })
    .transform(({ call, args, returns }): CodeTest => ({ kind: "call", name: call, args, returns: returns ?? null })),
]);
/** The columns of APPS, TACO and their kin: lists side by side, and a function's name where it is called instead of run. */
const sideBySide = z
  .object({ inputs: z.array(json), outputs: z.array(json), fn_name: z.string().nullish() })
  .refine(({ inputs, outputs }) => inputs.length === outputs.length, { message: "inputs and outputs differ in length" })
  .transform(({ inputs, outputs, fn_name }): CodeTest[] =>
    inputs.map((input, i) => {
      const output = outputs[i];
      if (fn_name) return { kind: "call", name: fn_name, args: Array.isArray(input) ? input : [input], returns: output ?? null };
      return { kind: "output", stdin: lines(input), stdout: lines(output) };
    }),
  );
const lines = (value: unknown): string =>
  Array.isArray(value) ? value.map(lines).join("\n") : typeof value === "string" ? value : JSON.stringify(value ?? "");
const list = z.union([z.array(one).min(1, "there are no tests"), sideBySide]);

/**
 * The tests of a row: a list of tests, or APPS-like `{ inputs, outputs, fn_name? }`, or either as JSON text (as CSV and some Parquet files hold
 * it). A test is a string or `{ assert, inside? }` (code that must not throw), `{ stdin, stdout }` or `{ input, output }` (the program's
 * output), or `{ call, args, returns }` (a function's value).
 *
 * @throws GuerdonError "input" for anything else
 */
export function readTests(column: unknown): CodeTest[] {
  let given = column;
  if (typeof column === "string" && /^\s*[[{]/.test(column)) {
    try {
      given = JSON.parse(column);
    } catch {
      given = column; // code that begins with a bracket
    }
  }
  const read = list.safeParse(typeof given === "string" ? [given] : given);
  if (read.success) return read.data;
  throw new GuerdonError(
    "input",
    `The tests are not understood (${read.error.issues[0]?.message ?? "no list"}). Give a list of code to run, { stdin, stdout }, or { call, args, returns }.`,
  );
}
