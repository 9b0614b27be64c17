import { referenceColumn } from "../../data/columns.ts";
import type { Host } from "../../data/host.ts";
import { readRows } from "../../data/read.ts";
import { recognise } from "../../data/recognise.ts";
import type { Message } from "../../data/row.ts";
import { valueAt } from "../../data/shape.ts";
import { GuerdonError } from "../../error.ts";
import { below, shuffled, stream } from "../../statistics/stream.ts";
import type { Split, TextEnvironment, TextTask } from "../environment.ts";
import { fromSolutions } from "./beginning.ts";

export interface PromptsOptions {
  /** The environment's name in reports. */
  readonly name?: string;
  /**
   * Where the data keeps things: a column, or a path such as `reward_model.ground_truth`. `prompt` and `reference` are recognised
   * (`recognise`, `referenceColumn`), a reference of null is none; `split` names a column of "train" and "test"; `solution` one of written
   * solutions, for demonstrations and hints.
   */
  readonly columns?: { readonly prompt?: string; readonly reference?: string | null; readonly split?: string; readonly solution?: string };
  /** Without a split column: the share of distinct prompts held out for testing, above 0, drawn with `seed`; 1 for data to measure on only. */
  readonly testShare?: number;
  readonly seed?: number;
  /** Compares an answer with the row's reference. Absent: equal text after trimming both, where there is a reference. */
  readonly check?: (completion: string, reference: unknown) => boolean | number;
  /** The longest answer in tokens. */
  readonly maxActions?: number;
  readonly host?: Host;
}

/** Prompts from data, listed rather than generated. */
export interface PromptsEnvironment extends TextEnvironment {
  tasks(split: Split): readonly TextTask[];
  /** What the data was taken for, for instance "reference <- solution; 900 training and 100 test tasks". */
  readonly recognised: string;
}

/**
 * An environment of given prompts, with or without references. All columns of a row reach rewards. Rows with the same prompt never end up
 * in different splits.
 *
 * @param source rows, or the path of a JSONL, CSV or Parquet file (then a promise)
 * @throws GuerdonError "input" naming file and line, or row, for what is missing or contradictory
 */
export function prompts(source: readonly Readonly<Record<string, unknown>>[], options?: PromptsOptions): PromptsEnvironment;
export function prompts(source: string, options?: PromptsOptions): Promise<PromptsEnvironment>;
export function prompts(
  source: string | readonly Readonly<Record<string, unknown>>[],
  options: PromptsOptions = {},
): PromptsEnvironment | Promise<PromptsEnvironment> {
  if (typeof source === "string") return fromFile(source, options);
  return fromRows(
    source.map((row, i) => ({ row, where: `row ${i + 1}` })),
    "the rows",
    { name: "prompts", ...options },
  );
}

async function fromFile(path: string, options: PromptsOptions): Promise<PromptsEnvironment> {
  const rows: PlacedRow[] = [];
  for await (const { row, where } of readRows(path, options.host ? { host: options.host } : {})) rows.push({ row, where });
  const name = path
    .split(/[\\/]/)
    .at(-1)!
    .replace(/\.[^.]*$/, "");
  return fromRows(rows, path, { name, ...options });
}

interface PlacedRow {
  readonly row: Readonly<Record<string, unknown>>;
  /** For messages: "prompts.jsonl row 3". */
  readonly where: string;
}

function fromRows(rows: readonly PlacedRow[], source: string, options: PromptsOptions & { readonly name: string }): PromptsEnvironment {
  const { name, columns = {}, maxActions = 256 } = options;
  if (rows.length === 0) throw new GuerdonError("input", `${source}: there are no rows.`);
  const names = columnsOf(rows);
  const { mapping } = recognise([...names], [rows[0]!.row]);
  const promptColumn = columns.prompt ?? mapping.prompt ?? "prompt";
  // What a format says outright needs no search: verl's rows keep the reference in a column of another name.
  const known = mapping.reference?.includes(".") === true ? mapping.reference : undefined;
  const reference = columns.reference === undefined ? (known ?? referenceColumn(names, source)) : columns.reference;
  const tasks = rows.map(({ row, where }, i): PlacedTask => {
    const prompt = promptOf(row, promptColumn, where);
    return {
      task: {
        id: `${name} ${i + 1}`,
        prompt,
        ...(reference === null ? {} : { reference: referenceOf(row, reference, where, options.check !== undefined) }),
        columns: Object.fromEntries(Object.entries(row).filter(([column]) => column !== promptColumn)),
      },
      where,
      key: JSON.stringify(prompt),
    };
  });
  const splits = columns.split === undefined ? splitBySeed(tasks, source, options) : splitByColumn(tasks, rows, columns.split);
  const check = options.check ?? (reference === null ? undefined : sameText);
  return {
    name,
    maxActions,
    recognised: `${promptColumn === "prompt" ? "" : `prompt <- ${promptColumn}; `}${reference === null ? "no reference" : `reference <- ${reference}`}; ${splits.train.length} training and ${splits.test.length} test tasks`,
    tasks: (split) => splits[split],
    draw(split, rng) {
      const task = splits[split][below(rng, splits[split].length)];
      if (task === undefined) throw new GuerdonError("usage", `${name} has no ${split === "test" ? "test" : "training"} tasks.`);
      return task;
    },
    ...(check === undefined ? {} : { check }),
    ...(columns.solution === undefined ? {} : fromSolutions(solutionIn(columns.solution, tasks))),
  };
}

/** The written solution of a task; all are looked at before any is asked for. */
function solutionIn(column: string, tasks: readonly PlacedTask[]): (task: TextTask) => string {
  const solutionOf = ({ columns }: TextTask): unknown => valueAt(columns ?? {}, column);
  for (const { task, where } of tasks)
    if (typeof solutionOf(task) !== "string")
      throw new GuerdonError("input", `${where}: the solution "${column}" is missing, or is no text.`);
  return (task) => solutionOf(task) as string;
}

interface PlacedTask {
  readonly task: TextTask;
  readonly where: string;
  /** Equal for equal prompts. */
  readonly key: string;
}

const columnsOf = (rows: readonly PlacedRow[]): Set<string> => new Set(rows.flatMap(({ row }) => Object.keys(row)));

const sameText = (completion: string, reference: unknown): boolean => completion.trim() === String(reference).trim();

function promptOf(row: PlacedRow["row"], column: string, where: string): string | readonly Message[] {
  const prompt = valueAt(row, column);
  if (typeof prompt === "string") return prompt;
  if (Array.isArray(prompt) && prompt.length > 0 && prompt.every(isMessage)) return prompt;
  throw new GuerdonError(
    "input",
    prompt === undefined
      ? `${where}: the column "${column}" is missing. Name the one that holds the prompt with columns: { prompt: "..." }; there are ${Object.keys(row).join(", ")}.`
      : `${where}: "${column}" must be text or a list of { role, content }, not ${JSON.stringify(prompt).slice(0, 80)}.`,
  );
}

const isMessage = (value: unknown): boolean =>
  typeof value === "object" && value !== null && "role" in value && "content" in value && typeof value.content === "string";

function referenceOf(row: PlacedRow["row"], column: string, where: string, checked: boolean): unknown {
  const reference = valueAt(row, column);
  if (reference === undefined || reference === null)
    throw new GuerdonError(
      "input",
      `${where}: the reference "${column}" is missing. Fill it in, remove the row, or say columns: { reference: null } and give a reward.`,
    );
  if (typeof reference === "object" && !checked)
    throw new GuerdonError(
      "input",
      `${where}: the reference "${column}" is ${JSON.stringify(reference).slice(0, 80)}, and no text equals that. Say how answers are compared with check: (completion, reference) => ...`,
    );
  return reference;
}

type Splits = Readonly<Record<Split, readonly TextTask[]>>;

function splitBySeed(tasks: readonly PlacedTask[], source: string, { testShare = 0.1, seed = 0 }: PromptsOptions): Splits {
  if (!(testShare > 0 && testShare <= 1))
    throw new GuerdonError("usage", `prompts: testShare must be above 0 and at most 1, not ${testShare}.`);
  if (testShare === 1) return { train: [], test: tasks.map(({ task }) => task) };
  const keys = [...new Set(tasks.map(({ key }) => key))];
  if (keys.length < 2)
    throw new GuerdonError(
      "input",
      `${source}: ${keys.length} distinct prompt cannot be split into training and test tasks. At least two are needed.`,
    );
  const held = Math.min(keys.length - 1, Math.max(1, Math.round(keys.length * testShare)));
  const heldOut = new Set(shuffled(keys, stream(seed, "prompts", "held out")).slice(0, held));
  const of = (isTest: boolean): TextTask[] => tasks.filter(({ key }) => heldOut.has(key) === isTest).map(({ task }) => task);
  return { train: of(false), test: of(true) };
}

function splitByColumn(tasks: readonly PlacedTask[], rows: readonly PlacedRow[], column: string): Splits {
  const splits: Record<Split, TextTask[]> = { train: [], test: [] };
  const first = new Map<string, { split: Split; where: string }>();
  tasks.forEach(({ task, where, key }, i) => {
    const split = rows[i]!.row[column];
    if (split !== "train" && split !== "test")
      throw new GuerdonError("input", `${where}: "${column}" must be "train" or "test", not ${JSON.stringify(split) ?? "missing"}.`);
    const earlier = first.get(key) ?? { split, where };
    first.set(key, earlier);
    if (earlier.split !== split)
      throw new GuerdonError(
        "input",
        `${where} is a ${split} row, and ${earlier.where} with the same prompt is a ${earlier.split} row. A prompt may be in one split only.`,
      );
    splits[split].push(task);
  });
  return splits;
}
