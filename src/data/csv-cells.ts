import { referenceColumns } from "./columns.ts";
import { shapeOf } from "./shape.ts";

type Cells = Readonly<Record<string, unknown>>;

/** How the text of a CSV column is to be taken. */
export type CellKind = "text" | "json" | "boolean" | "number";

/** Columns in which a list or an object in JSON is more probably an answer than data, unless it is a list of messages. */
const prose: ReadonlySet<string> = new Set(["prompt", "completion", "text", "question", "input", ...referenceColumns]);

/**
 * How the cells of a CSV file are to be taken, by a sample: as JSON where all are lists or objects (in `prompt`, `completion` and columns of
 * text only where all are lists of messages), as true and false or as numbers only in `label` and `final_answer_correct`, else as text.
 */
export function cellKinds(columns: readonly string[], sample: readonly Cells[]): Readonly<Record<string, CellKind>> {
  return Object.fromEntries(
    columns.map((column) => {
      const cells = sample.map((row) => row[column]).filter((cell): cell is string => typeof cell === "string" && cell !== "");
      return [column, cells.length === 0 ? "text" : kindOf(column, cells)];
    }),
  );
}

function kindOf(column: string, cells: readonly string[]): CellKind {
  const values = cells.map(listOrObject);
  if (values.every((value) => value !== null && (!prose.has(column) || shapeOf(value) === "messages"))) return "json";
  if (column === "label" || column === "final_answer_correct") {
    if (cells.every((cell) => /^(true|false)$/i.test(cell))) return "boolean";
    if (cells.every((cell) => /^-?\d+$/.test(cell))) return "number";
  }
  return "text";
}

/** The row with its cells taken so. A cell that is not what the others of its column are stays text; empty ones of other kinds are absent. */
export function decodeCells(row: Cells, kinds: Readonly<Record<string, CellKind>>): Cells {
  const decoded: Record<string, unknown> = { ...row };
  for (const [column, kind] of Object.entries(kinds)) {
    const cell = row[column];
    if (kind === "text" || typeof cell !== "string") continue;
    if (cell === "") delete decoded[column];
    else if (kind === "json") decoded[column] = listOrObject(cell) ?? cell;
    else if (kind === "boolean" && /^(true|false)$/i.test(cell)) decoded[column] = cell.toLowerCase() === "true";
    else if (kind === "number" && /^-?\d+$/.test(cell)) decoded[column] = Number(cell);
  }
  return decoded;
}

/** A list or an object in JSON; null for everything else. */
function listOrObject(text: string): object | null {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    return JSON.parse(text) as object;
  } catch {
    return null; // it is text that begins with a bracket
  }
}
