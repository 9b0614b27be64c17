import { dirname, join } from "node:path";
import { GuerdonError } from "../../error.ts";
import { rowScalars, type MetricsRow } from "../run-folder.ts";
import { diskFiles, encode, replace, type Files } from "./files.ts";
import { readMetrics } from "./read.ts";
import { eventFileHeader, scalarsEvent } from "./tensorboard.ts";

export const exportFormats = ["csv", "parquet", "tensorboard"] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** A rectangular table: one row a line of metrics, one column a metric. */
export interface MetricsTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number | null)[])[];
}

/** Metrics of several runs as one table: run, step, phase, kind, then every metric and every clock value in the order of first appearance. */
export function metricsTable(runs: readonly { readonly name: string; readonly rows: readonly MetricsRow[] }[]): MetricsTable {
  const names = new Set<string>();
  for (const { rows } of runs)
    for (const row of rows) for (const name of [...Object.keys(row.values), ...Object.keys(row.clock ?? {})]) names.add(name);
  return {
    columns: ["run", "step", "phase", "kind", ...names],
    rows: runs.flatMap(({ name, rows }) =>
      rows.map((row) => [
        name,
        row.step,
        row.phase,
        row.kind,
        ...[...names].map((metric) => row.values[metric] ?? row.clock?.[metric] ?? null),
      ]),
    ),
  };
}

/** RFC 4180: commas, quotes doubled; a value that is not there is empty. */
export function toCsv(table: MetricsTable): string {
  const cell = (value: string | number | null) => {
    const text = value === null ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [table.columns, ...table.rows].map((row) => row.map(cell).join(",") + "\n").join("");
}

/** The part of @duckdb/node-api that is used here; its own types are not there when the package is not installed. */
interface DuckDB {
  readonly DuckDBInstance: {
    create(): Promise<{ connect(): Promise<{ run(sql: string): Promise<unknown>; closeSync(): void }>; closeSync(): void }>;
  };
}

async function loadDuckDB(): Promise<DuckDB> {
  const name = "@duckdb/node-api";
  try {
    return (await import(name)) as DuckDB;
  } catch (cause) {
    throw new GuerdonError(
      "missing-dependency",
      `Parquet files are written by DuckDB, which is not installed: npm install ${name} (or export to csv)`,
      { cause },
    );
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** Writes a table as Parquet through DuckDB, which reads the CSV form. Numbers are doubles, `step` is a whole number. */
async function writeParquet(files: Files, table: MetricsTable, path: string): Promise<void> {
  const { DuckDBInstance } = await loadDuckDB();
  const csv = `${path}.partial.csv`;
  const parquet = `${path}.partial`;
  const types = table.columns.map((name, i) => `${quoted(name)}: ${quoted(i === 1 ? "BIGINT" : i < 4 ? "VARCHAR" : "DOUBLE")}`).join(", ");
  files.write(csv, encode(toCsv(table)));
  const instance = await DuckDBInstance.create();
  try {
    const connection = await instance.connect();
    await connection.run(
      `COPY (SELECT * FROM read_csv(${quoted(csv)}, header = true, columns = {${types}})) TO ${quoted(parquet)} (FORMAT parquet)`,
    );
    connection.closeSync();
    files.rename(parquet, path);
  } finally {
    instance.closeSync();
    files.remove(csv);
    files.remove(parquet);
  }
}

/**
 * Writes the metrics of runs to one file (csv, parquet) or to one folder with a sub-folder a run (tensorboard).
 *
 * @returns the paths that were written
 */
export async function exportRuns(
  directories: readonly { readonly name: string; readonly directory: string }[],
  format: ExportFormat,
  out: string,
  files: Files = diskFiles,
): Promise<string[]> {
  const runs = directories.map(({ name, directory }) => ({ name, rows: readMetrics(directory, files) }));
  if (format === "tensorboard") {
    return runs.map(({ name, rows }) => {
      const path = join(out, name, "events.out.tfevents.0.guerdon");
      const parts = [eventFileHeader(0), ...rows.map((row) => scalarsEvent(row.clock?.["time"] ?? 0, row.step, rowScalars(row)))];
      files.makeFolder(join(out, name));
      replace(files, path, Buffer.concat(parts));
      return path;
    });
  }
  const table = metricsTable(runs);
  files.makeFolder(dirname(out));
  if (format === "csv") replace(files, out, encode(toCsv(table)));
  else await writeParquet(files, table, out);
  return [out];
}
