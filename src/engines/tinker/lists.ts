import { z } from "zod";

/*
 * Lists from elsewhere may have millions of entries that are wrong. Only the first is told: one issue an entry would fill the memory.
 */

/** A list of plain values. */
const plain = <T>(fits: (value: unknown) => boolean, what: string) =>
  z.custom<T[]>(Array.isArray, "expected a list").check(({ value, issues }) => {
    const i = value.findIndex((one) => !fits(one));
    if (i >= 0) issues.push({ code: "custom", input: value[i], path: [i], message: `expected ${what}` });
  });
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
export const counts = plain<number>(isCount, "a whole number from 0");
export const numbers = plain<number>(Number.isFinite, "a number");
export const numbersOrNulls = plain<number | null>((value) => value === null || Number.isFinite(value), "a number or null");
export const texts = plain<string>((value) => typeof value === "string", "a text");

/** The most entries of any other list, such as rows. */
export const mostEntries = 65_536;

/** A list of what has parts of its own. */
export const list = <T extends z.ZodType>(entry: T): z.ZodType<z.output<T>[], z.input<T>[]> =>
  z.custom<z.input<T>[]>(Array.isArray, "expected a list").transform((values, { issues }) => {
    const entries: z.output<T>[] = [];
    if (values.length > mostEntries) issues.push({ code: "custom", input: values.length, message: `more than ${mostEntries} entries` });
    else
      for (const [i, value] of values.entries()) {
        const read = entry.safeParse(value);
        if (read.success) entries.push(read.data);
        else {
          const [first] = read.error.issues;
          issues.push({ code: "custom", input: value, path: [i, ...first!.path], message: first!.message });
          break;
        }
      }
    return entries;
  });

/** Numbers by name. */
export const coefficients = z.custom<Record<string, number>>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(Number.isFinite),
  "expected numbers by name",
);
