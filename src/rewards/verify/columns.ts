import type { Schema } from "../schema.ts";

/** Looks at one cell: the value that a verifier works with, or a sentence on what is wrong with it. */
export type Check<Input, Output = Input> = ((cell: unknown) => { readonly value: Output } | string) & { readonly input?: Input };

/**
 * A declaration of columns by one check each. What a check refuses makes the row unscorable: "missing-column" when the cell is undefined,
 * "wrong-column" otherwise.
 *
 * @param names which column of the row is meant, where it is not the key
 */
export function columns<Input extends object, Output extends object>(
  checks: { readonly [K in keyof Input & keyof Output]: Check<Input[K], Output[K]> },
  names: { readonly [K in keyof Input]?: string } = {},
): Schema<Input, Output> {
  const entries = Object.entries<Check<unknown>>(checks as Readonly<Record<string, Check<unknown>>>);
  const nameOf: Readonly<Record<string, string | undefined>> = names as Readonly<Record<string, string | undefined>>;
  return {
    "~standard": {
      version: 1,
      vendor: "guerdon",
      validate(row) {
        const checked = entries.map(([key, check]) => {
          const column = nameOf[key] ?? key;
          return { key, column, result: check((row as Readonly<Record<string, unknown>>)[column]) };
        });
        const issues = checked.flatMap(({ column, result }) => (typeof result === "string" ? [{ message: result, path: [column] }] : []));
        if (issues.length > 0) return { issues };
        return { value: Object.fromEntries(checked.map(({ key, result }) => [key, (result as { value: unknown }).value])) as Output };
      },
    },
  };
}

/** One or several right answers. */
export type References = string | number | readonly (string | number)[];

/** One or several texts, none of them blank. */
export const texts: Check<References, readonly string[]> = (cell) => {
  const list: readonly unknown[] = Array.isArray(cell) ? cell : [cell];
  if (list.length === 0) return "is an empty list";
  const found = list.map((one) => (typeof one === "number" && Number.isFinite(one) ? String(one) : one));
  if (!found.every((one) => typeof one === "string")) return "must be a text or a list of texts";
  return found.some((one) => one.trim() === "") ? "is blank" : { value: found };
};

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
