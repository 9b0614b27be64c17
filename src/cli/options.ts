import { InvalidArgumentError, type Command } from "commander";
import type { SeedChoice } from "./commands/reproduce.ts";
import type { CheckpointChoice, ColumnNames } from "./policies.ts";

// What the values of options may be, and options that several commands have.

/** A whole number from `least` on, up to `most`. */
export const whole =
  (least: number, most = Infinity) =>
  (text: string) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a whole number, ${most === Infinity ? `${least} or more` : `${least} to ${most}`}.`);
    return value;
  };

/** Of threads and of processes: each takes memory, and thousands of them more than there is. */
export const workers = whole(1, 256);

/** A number from `low` to `high`. */
export const number = (low: number, high: number) => (text: string) => {
  const value = Number(text);
  if (text.trim() === "" || !(value >= low && value <= high)) throw new InvalidArgumentError(`It must be a number from ${low} to ${high}.`);
  return value;
};

/** For options that may be given several times. */
export const listed = (text: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), text];

export const failOrZero = (text: string): "fail" | 0 => {
  if (text !== "fail" && text !== "0") throw new InvalidArgumentError("It must be fail or 0.");
  return text === "fail" ? "fail" : 0;
};

/** A typing mistake is likelier than more. */
const mostSeeds = 10_000;

/** `20`, or `1000-1019`. */
export const seedChoice = (text: string): SeedChoice => {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) throw new InvalidArgumentError("It must be a number of seeds, or the first and the last: 1000-1019.");
  const [first, last] = [Number(match[1]), match[2] === undefined ? null : Number(match[2])];
  const count = last === null ? first : last - first + 1;
  if (count < 1) throw new InvalidArgumentError("It must be at least one seed.");
  if (count > mostSeeds || !Number.isSafeInteger(last ?? first)) throw new InvalidArgumentError(`It must be at most ${mostSeeds} seeds.`);
  return last === null ? { count: first } : { from: first, to: last };
};

/** `prompt=question,reference=answer`. */
const columnNames = (text: string): ColumnNames => {
  const pairs = text.split(",").map((pair) => pair.split("="));
  if (pairs.some(([name, column, ...rest]) => !["prompt", "reference", "split"].includes(name!) || !column || rest.length > 0))
    throw new InvalidArgumentError("It must be prompt=NAME, reference=NAME or split=NAME, several joined by commas.");
  return Object.fromEntries(pairs) as ColumnNames;
};

const checkpointChoice = (text: string): CheckpointChoice => {
  if (text === "latest" || text === "best") return text;
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be latest, best, or a step.");
  return Number(text);
};
export const checkpoint = ["--checkpoint <which>", "latest, best, or a step", checkpointChoice, "latest"] as const;

export const serviceAddress = [
  "--base-url <address>",
  "of a run on a training service: where the service is now (default: as in the run)",
] as const;
export const serviceKey = [
  "--key-env <name>",
  "of a run on a training service: environment variable with its key (default: as in the run)",
] as const;

export const columns = ["--columns <names>", "columns of the file, for instance reference=answer", columnNames] as const;

export const json = ["--json", "print the result as JSON"] as const;

/**
 * No option takes the one that follows for its value: `--end-token --json` is a value forgotten, here and in all commands below.
 * `--end-token=--json` means it.
 */
export function refuseForgottenValues(command: Command): void {
  const parse = command.parseOptions.bind(command);
  const optionOf = (word: string) => command.options.find(({ short, long }) => word === short || word === long);
  command.parseOptions = (words) => {
    const end = words.indexOf("--");
    for (const [i, word] of words.slice(0, end < 0 ? words.length : end).entries()) {
      const option = optionOf(word);
      const next = words[i + 1]?.replace(/=.*/s, "");
      if (option?.required === true && next !== undefined && (optionOf(next) !== undefined || next === "--help" || next === "-h"))
        command.error(
          `option '${option.flags}' needs a value, and ${next} is the next option. Where it is the value: ${option.long}=${words[i + 1]}`,
        );
    }
    return parse(words);
  };
  command.commands.forEach(refuseForgottenValues);
}
