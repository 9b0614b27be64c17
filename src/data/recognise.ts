import { GuerdonError } from "../error.ts";
import { referenceColumns } from "./columns.ts";
import { preferenceProblem, type Preference } from "./preference.ts";
import { messageProblem, shapeOf, valueAt, type Shape } from "./shape.ts";

/** The kinds of rows that data sets have. */
export type RowKind =
  | "best-of-n"
  | "preference"
  | "stepwise"
  | "process-bench"
  | "unpaired"
  | "openrlhf-request"
  | "verl"
  | "answers"
  | "prompts"
  | "conversations"
  | "unknown";

/** What a column is to us. */
export type ColumnRole =
  | "prompt"
  | "completion"
  | "reference"
  | "chosen"
  | "rejected"
  | "messages"
  | "text"
  | "label"
  | "labels"
  | "completions"
  | "steps";

type Cells = Readonly<Record<string, unknown>>;
/** Where a role's value is found: a column, or a path into one such as `reward_model.ground_truth`. */
export type ColumnMapping = { readonly [R in ColumnRole]?: string };

export interface Recognition {
  readonly kind: RowKind;
  /** For people: "preference pairs (TRL, RewardBench 1)". */
  readonly title: string;
  /** The columns that have a role. */
  readonly mapping: ColumnMapping;
  /** Why these rows cannot be used as they are, each with what to do; row by row, see `rowProblems`. */
  readonly problems: readonly string[];
  /** What may be worth knowing. */
  readonly notes: readonly string[];
  /** The commands that take such rows. */
  readonly commands: readonly string[];
}

interface Format {
  readonly kind: RowKind;
  readonly title: string;
  readonly is: (sample: Sample) => boolean;
  /** The roles that its rows have and the shapes of their values; "optional" ones may be absent. */
  readonly roles: { readonly [R in ColumnRole]?: readonly (Shape | "optional")[] };
  /** Other names under which this format keeps a role. */
  readonly names?: ColumnMapping;
  /** What else must hold of a row. */
  readonly also?: (value: (role: ColumnRole) => unknown, row: Cells) => string | null;
  readonly commands: (mapping: ColumnMapping) => readonly string[];
}

const prompt = ["text", "messages"] as const;

/** The one table by which files are recognised: the first format that fits is taken. */
const formats: readonly Format[] = [
  {
    kind: "best-of-n",
    title: "best-of-n choices (RewardBench 2)",
    is: (s) => s.has("chosen", "rejected") && s.mostly("chosen", "texts") && s.mostly("rejected", "texts"),
    roles: { prompt, chosen: ["texts"], rejected: ["texts"] },
    also: (value, { num_correct: correct }) => {
      const chosen = value("chosen") as readonly string[];
      if (chosen.length === 0 || (value("rejected") as readonly string[]).length === 0) return '"chosen" or "rejected" is empty';
      return typeof correct === "number" && correct !== chosen.length ? '"num_correct" is not the length of "chosen"' : null;
    },
    commands: () => [],
  },
  {
    kind: "preference",
    title: "preference pairs (TRL, RewardBench 1)",
    is: (s) => s.has("chosen", "rejected"),
    roles: { prompt: [...prompt, "optional"], chosen: prompt, rejected: prompt },
    also: (value) =>
      preferenceProblem({
        ...(value("prompt") === undefined ? {} : { prompt: value("prompt") as Preference["prompt"] }),
        chosen: value("chosen") as Preference["chosen"],
        rejected: value("rejected") as Preference["rejected"],
      }),
    commands: () => [],
  },
  {
    kind: "stepwise",
    title: "answers with a label for each step (TRL stepwise)",
    is: (s) => s.has("completions", "labels"),
    roles: { prompt: ["text"], completions: ["texts"], labels: ["booleans"] },
    also: (value) =>
      (value("completions") as readonly unknown[]).length === (value("labels") as readonly unknown[]).length
        ? null
        : '"completions" and "labels" have different lengths',
    commands: () => ["score"],
  },
  {
    kind: "process-bench",
    title: "solutions with the first wrong step (ProcessBench)",
    is: (s) => s.has("steps", "label") && s.hasColumn("problem"),
    roles: { prompt: ["text"], steps: ["texts"], label: ["number"] },
    names: { prompt: "problem" },
    also: (value) => {
      const label = value("label") as number;
      return Number.isInteger(label) && label >= -1 && label < (value("steps") as readonly unknown[]).length
        ? null
        : '"label" is neither -1 nor the index of a step';
    },
    commands: () => ["score"],
  },
  {
    kind: "unpaired",
    title: "answers with a good or bad label (TRL unpaired preference)",
    is: (s) => s.has("completion", "label") && s.mostly("label", "boolean"),
    roles: { prompt, completion: prompt, label: ["boolean"] },
    commands: () => ["score"],
  },
  {
    kind: "openrlhf-request",
    title: "requests of an OpenRLHF trainer",
    is: (s) => s.mostlyAt("query", "texts") && s.mostlyAt("prompts", "texts"),
    roles: {},
    also: (_, { query, prompts }) =>
      shapeOf(query) !== "texts" || shapeOf(prompts) !== "texts"
        ? '"query" and "prompts" must be lists of text'
        : (query as readonly unknown[]).length === (prompts as readonly unknown[]).length
          ? null
          : '"query" and "prompts" have different lengths',
    commands: () => ["serve"],
  },
  {
    kind: "verl",
    title: "verl rows",
    is: (s) => s.hasColumn("data_source", "reward_model"),
    roles: { prompt, completion: [...prompt, "optional"], reference: ["text", "number", "boolean", "texts", "list", "object", "booleans"] },
    names: { reference: "reward_model.ground_truth" },
    commands: (mapping) => (mapping.completion === undefined ? ["eval"] : ["score"]),
  },
  {
    kind: "answers",
    title: "answers to prompts",
    is: (s) => s.has("completion"),
    roles: { prompt, completion: prompt },
    commands: () => ["score"],
  },
  {
    kind: "prompts",
    title: "prompts",
    is: (s) => s.has("prompt"),
    roles: { prompt },
    commands: () => ["eval"],
  },
  {
    kind: "conversations",
    title: "conversations or texts (language modelling)",
    is: (s) => s.has("messages") || s.has("text"),
    roles: { messages: ["messages", "optional"], text: ["text", "optional"] },
    also: (value) => {
      const messages = value("messages");
      if (messages === undefined) return value("text") === undefined ? 'there is neither "messages" nor "text"' : null;
      return (messages as readonly { role: unknown }[]).some(({ role }) => role === "assistant")
        ? null
        : 'no message of "messages" is an assistant\'s';
    },
    commands: ({ messages }) => (messages === undefined ? [] : ["score"]),
  },
];

/** Names that other tools give to the prompt; taken only when there is no "prompt", and said. */
const promptNames = ["question", "input"] as const;
/** Names that an answer may have; never taken by themselves. */
const answerNames = ["response", "output", "generation", "model_answer", "prediction"] as const;

export interface RecogniseOptions {
  /** Where roles are found, when it is not by their own names: `{ reference: "solution" }`. */
  readonly columns?: ColumnMapping;
}

/**
 * Says what rows are, from their columns and a few of them, by one table over the formats of TRL, OpenRLHF, verl, RewardBench and
 * ProcessBench. The reference is the only one present of `reference`, `answer`, `solution`, `ground_truth`, `target` and `expected` (or
 * verl's `reward_model.ground_truth`); two are a problem that asks for `columns`.
 *
 * @param columns all columns of the data
 * @param sample the first rows
 * @throws GuerdonError "input" when `columns` names one that is not there
 */
export function recognise(columns: readonly string[], sample: readonly Cells[], options: RecogniseOptions = {}): Recognition {
  const given = options.columns ?? {};
  for (const [role, source] of Object.entries(given))
    if (!columns.includes(source) && !sample.some((row) => valueAt(row, source) !== undefined))
      throw new GuerdonError("input", `There is no column "${source}" to take the ${role} from. The columns are ${columns.join(", ")}.`);
  const problems: string[] = [];
  const notes: string[] = [];
  const promptName = ["prompt", ...promptNames].find((name) => columns.includes(name));
  if (given.prompt === undefined && promptName !== "prompt" && promptNames.every((name) => columns.includes(name)))
    problems.push(`The prompt could be "question" or "input": say --columns prompt=question`);
  const base: Partial<Record<ColumnRole, string>> = {};
  for (const role of ["completion", "chosen", "rejected", "messages", "text", "label", "labels", "completions", "steps"] as const)
    if (columns.includes(role)) base[role] = role;
  if (promptName !== undefined) base.prompt = promptName;
  const found: ColumnMapping = { ...base, ...given };
  const format = formats.find(({ is }) => is(sampleOf(found, columns, sample)));
  const mapping: ColumnMapping = { ...base, ...format?.names, ...given };
  const references = referenceColumns.filter((name) => columns.includes(name) && !Object.values(mapping).includes(name));
  if (mapping.reference === undefined && references.length > 1)
    problems.push(
      `The reference could be ${references.map((name) => `"${name}"`).join(" or ")}: say --columns reference=${references[1]} (in code columns: { reference: "${references[1]}" })`,
    );
  const withReference: ColumnMapping =
    mapping.reference === undefined && references.length === 1 ? { ...mapping, reference: references[0]! } : mapping;
  if (format === undefined) {
    problems.push(
      columns.length === 0
        ? "there are no rows"
        : "No format has these columns. Rows to score need a prompt and a completion: say --columns prompt=...,completion=...",
    );
    return { kind: "unknown", title: "rows of no known format", mapping: withReference, problems, notes, commands: [] };
  }
  const answer = answerNames.find((name) => columns.includes(name));
  if ((format.kind === "prompts" || format.kind === "verl") && mapping.completion === undefined && answer !== undefined)
    notes.push(`If "${answer}" is the answer to score, say --columns completion=${answer}`);
  return { kind: format.kind, title: format.title, mapping: withReference, problems, notes, commands: format.commands(withReference) };
}

/** What is wrong with one row of recognised data, for people; the same sentence for the same fault. Empty when nothing is. */
export function rowProblems({ kind, mapping }: Pick<Recognition, "kind" | "mapping">, row: Cells): string[] {
  const format = formats.find((one) => one.kind === kind);
  if (format === undefined) return [];
  const value = (role: ColumnRole): unknown => valueAt(row, mapping[role] ?? role) ?? undefined;
  const problems: string[] = [];
  for (const [key, shapes] of Object.entries(format.roles)) {
    const role = key as ColumnRole;
    const name = mapping[role] ?? role;
    const shape = shapeOf(value(role));
    if (shape === "nothing") {
      if (!shapes.includes("optional")) problems.push(`"${name}" is missing`);
    } else if (!shapes.includes(shape) && !isEmpty(value(role)))
      problems.push(
        `"${name}" is ${said[shape]}, not ${shapes
          .filter((one) => one !== "optional")
          .map((one) => said[one as Shape])
          .join(" or ")}`,
      );
    else if (shape === "messages") {
      const wrong = messageProblem(value(role) as readonly unknown[]);
      if (wrong !== null) problems.push(`"${name}": ${wrong}`);
    }
  }
  const more = problems.length === 0 ? (format.also?.(value, row) ?? null) : null;
  return more === null ? problems : [more];
}

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

/** Shapes as messages say them. */
export const said: Readonly<Record<Shape, string>> = {
  text: "text",
  messages: "a list of messages",
  texts: "a list of text",
  booleans: "a list of true and false",
  list: "a list",
  boolean: "true or false",
  number: "a number",
  object: "an object",
  nothing: "nothing",
};

interface Sample {
  has(...roles: ColumnRole[]): boolean;
  hasColumn(...names: string[]): boolean;
  /** More than half of the values that are there have this shape. */
  mostly(role: ColumnRole, shape: Shape): boolean;
  mostlyAt(column: string, shape: Shape): boolean;
}

function sampleOf(mapping: ColumnMapping, columns: readonly string[], rows: readonly Cells[]): Sample {
  const mostlyAt = (column: string, shape: Shape): boolean => {
    const shapes = rows.map((row) => shapeOf(valueAt(row, column))).filter((one) => one !== "nothing");
    return shapes.filter((one) => one === shape).length * 2 > shapes.length;
  };
  return {
    has: (...roles) => roles.every((role) => mapping[role] !== undefined || columns.includes(role)),
    hasColumn: (...names) => names.every((name) => columns.includes(name)),
    mostly: (role, shape) => mostlyAt(mapping[role] ?? role, shape),
    mostlyAt,
  };
}
