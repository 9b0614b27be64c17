import { openRows } from "../../data/scorable.ts";
import { rowProblems, said } from "../../data/recognise.ts";
import { shapeOf, type Shape } from "../../data/shape.ts";
import { columnsFrom } from "../columns.ts";
import { mustExist } from "../folders.ts";
import { command } from "../command.ts";
import { printable, type Screen } from "../screen.ts";
import { table } from "../table.ts";

interface ColumnFacts {
  readonly shapes: Map<Shape, number>;
  filled: number;
  example: string | null;
}
interface Fault {
  readonly rows: number[];
  count: number;
}

/** Row numbers that are kept for each fault. */
const keptRows = 100;
const shownRows = 8;

/** `guerdon inspect`: exit status 1 when something is wrong with the rows. */
export async function inspect(screen: Screen, path: string, options: { readonly columns?: string }): Promise<number> {
  mustExist(path);
  const file = await openRows(path, { columns: columnsFrom(options.columns) });
  const { recognition, format } = file;
  const columns = new Map<string, ColumnFacts>();
  const faults = new Map<string, Fault>();
  let total = 0;
  for await (const { row, number } of file.rows()) {
    total++;
    for (const [name, value] of Object.entries(row)) note(columns, name, value);
    for (const problem of rowProblems(recognition, row)) {
      const fault = faults.get(problem) ?? { rows: [], count: 0 };
      fault.count++;
      if (fault.rows.length < keptRows) fault.rows.push(number);
      faults.set(problem, fault);
    }
  }
  const { commands, problems } = recognition;
  const mapped = Object.entries(recognition.mapping).filter(([role, source]) => role !== source);
  const roleOf = new Map(mapped.map(([role, source]) => [source, role]));
  const bold = (text: string) => screen.resultStyle("bold", text);
  const shown = [
    `${bold(path)}  ${format}, ${total.toLocaleString("en-US")} ${total === 1 ? "row" : "rows"}`,
    recognition.title,
    ...mapped.map(([role, source]) => `  ${role} <- ${source}`),
    ...(columns.size === 0
      ? []
      : [
          "",
          table(
            ["column", "holds", "missing", "for instance"],
            [...columns].map(([name, { shapes, filled, example }]) => [
              roleOf.has(name) ? `${name} (${roleOf.get(name)})` : name,
              [...shapes]
                .sort(([, a], [, b]) => b - a)
                .map(([shape]) => said[shape])
                .join(" or ") || "nothing",
              total - filled,
              example ?? "-",
            ]),
          ),
        ]),
    "",
    ...problems.map((problem) => `problem: ${problem}`),
    ...[...faults].map(([problem, { rows, count }]) => `problem: ${problem}: ${placesOf(rows, count)}`),
    ...(problems.length + faults.size === 0 ? ["no problems found"] : []),
    ...recognition.notes.map((one) => `note: ${one}`),
    commands.length === 0
      ? "no command takes such rows"
      : `${commands.map((one) => `${command} ${one}`).join(", ")} ${commands.length === 1 ? "takes" : "take"} such rows`,
  ];
  screen.result(shown.join("\n"), {
    path,
    format,
    rows: total,
    kind: recognition.kind,
    title: recognition.title,
    mapping: recognition.mapping,
    columns: Object.fromEntries(
      [...columns].map(([name, { shapes, filled }]) => [name, { holds: Object.fromEntries(shapes), missing: total - filled }]),
    ),
    problems: [...problems.map((message) => ({ message })), ...[...faults].map(([message, { rows, count }]) => ({ message, count, rows }))],
    notes: recognition.notes,
    commands,
  });
  return problems.length + faults.size === 0 ? 0 : 1;
}

function note(columns: Map<string, ColumnFacts>, name: string, value: unknown): void {
  const facts = columns.get(name) ?? { shapes: new Map<Shape, number>(), filled: 0, example: null };
  columns.set(name, facts);
  const shape = shapeOf(value);
  if (shape === "nothing") return;
  facts.filled++;
  facts.shapes.set(shape, (facts.shapes.get(shape) ?? 0) + 1);
  facts.example ??= shortened(typeof value === "string" ? value : JSON.stringify(value));
}

const shortened = (text: string): string => {
  const line = printable(text).replaceAll(/\s+/g, " ").trim();
  return line.length > 40 ? `${line.slice(0, 39)}…` : line;
};

const placesOf = (rows: readonly number[], count: number): string =>
  `${count === 1 ? "row" : "rows"} ${rows.slice(0, shownRows).join(", ")}${count > shownRows ? ` and ${(count - shownRows).toLocaleString("en-US")} more` : ""}`;
