import { z } from "zod";
import { thisHost } from "../../../data/host.ts";
import { GuerdonError } from "../../../error.ts";
import { unscorable, type Grade } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { lastProgram } from "./extract.ts";
import { inSandbox, type SandboxKind } from "./sandboxes.ts";
import { isOrdered, sameRows, statementCount, type Cell } from "./sql-rows.ts";

export type SqlDialect = "sqlite" | "duckdb";

export interface RunQueryOptions {
  readonly dialect: SqlDialect;
  /** SQL that makes the tables and their rows, in an empty database in memory. */
  readonly setup?: string;
  /** SQLite only: the bytes of a database file, loaded into memory before the set-up. */
  readonly database?: Uint8Array;
  /** 10,000 ms unless said. */
  readonly timeoutMs?: number;
  /** What the engine may hold, in MiB, 1 to 1024; 256 unless said. */
  readonly memoryMiB?: number;
  /** The most rows; 100,000 unless said. */
  readonly rowLimit?: number;
  readonly signal?: AbortSignal;
}

/** What came of a query. `setup` is a database that could not be made; everything else but `rows` is the query's doing. */
export type QueryResult =
  | { readonly kind: "rows"; readonly rows: readonly (readonly Cell[])[]; readonly columns: number }
  | { readonly kind: "setup" | "error" | "forbidden" | "output" | "timeout" | "memory" | "crash"; readonly message: string };

/** See code-tests.ts. */
const here = import.meta.url;
const kinds: Record<SqlDialect, SandboxKind> = {
  sqlite: {
    name: "SQLite",
    module: new URL("../../../data/peers/sql.ts", here),
    start: { kind: "process", memoryMiB: 1536, reads: [] },
  },
  duckdb: {
    name: "DuckDB",
    module: new URL("../../../data/peers/sql.ts", here),
    start: { kind: "process", memoryMiB: 1536 },
    needs: "@duckdb/node-api",
  },
};

/**
 * Runs one query that may only read, on a database of its own in memory, in a process that is killed when the time is up. On SQLite an
 * authorizer refuses everything but SELECT; DuckDB gets only statements that select, without files, extensions or settings.
 *
 * @throws GuerdonError "usage" for options out of range; "missing-dependency" (DuckDB), "io", "unsupported", "interrupted" as `runTests`
 */
export async function runQuery(query: string, options: RunQueryOptions): Promise<QueryResult> {
  const { dialect, timeoutMs, memoryMiB, rowLimit } = resolved(options);
  const count = statementCount(query);
  if (count !== 1)
    return { kind: "error", message: count === 0 ? "there is no statement" : `there are ${count} statements, and one is asked for` };
  const { setup = "", database, signal } = options;
  const job = { dialect, setup, query, rowLimit, memoryMiB, ...(database ? { bytes: database } : {}) };
  const outcome = await inSandbox<typeof job, QueryResult>(kinds[dialect], job, timeoutMs, signal);
  if (outcome.kind === "done") return outcome.value;
  if (outcome.kind !== "threw") return { kind: outcome.kind === "ended" ? "crash" : outcome.kind, message: outcome.reason };
  if (/Cannot find (package|module)/.test(outcome.reason))
    throw new GuerdonError("missing-dependency", "DuckDB queries need @duckdb/node-api: npm install @duckdb/node-api");
  throw new GuerdonError("internal", `The sandbox failed: ${outcome.reason}.`);
}

export interface SqlResultOptions extends Omit<RunQueryOptions, "signal" | "setup" | "database"> {
  /** Whether the order of the rows counts; "auto" (unless said) when the reference query orders its result. */
  readonly ordered?: "auto" | boolean;
  /** Whether columns may come in another order; true unless said. */
  readonly anyColumnOrder?: boolean;
  /** SQLite only: a database file that every row is about; it is read, never written. Cached scores do not notice when it changes. */
  readonly database?: string;
  /** How reports call it; "sql-result" unless said. */
  readonly name?: string;
}

/**
 * A reward for SQL: 1 when the last code block of the answer, run as one query, gives what the query in the column `reference` gives, else 0.
 * The tables come from the column `setup` (SQL; a list of them makes several databases, on all of which the two must agree) or from the
 * option `database`. Rows are compared by `sameRows`. Where the reference leaves ties in its ORDER BY open, order rows fully or do not
 * let the order count.
 *
 * What is the answer's fault is 0 with a note: no query, an error, more than one statement, anything but reading, too much time, memory or
 * rows. What is not is unscorable: a set-up or a reference that fails, a sandbox that cannot be started.
 *
 * @throws GuerdonError "usage" for options out of range
 */
export function sqlResult(options: SqlResultOptions): Reward<{ reference: string; setup?: string | string[] | undefined }> {
  const settings = resolved(options);
  const { ordered = "auto", anyColumnOrder = true, database: path, name = "sql-result", ...limits } = options;
  const version = JSON.stringify({ version: 1, ordered, anyColumnOrder, database: path ?? null, ...settings });
  if (path !== undefined && limits.dialect !== "sqlite")
    throw new GuerdonError("usage", "sqlResult: a database file must be one of SQLite.");
  const columns = z.object({ reference: z.string(), setup: z.union([z.string(), z.array(z.string()).min(1)]).optional() });
  /** What references give, by database and query: the answers to one prompt share it. */
  const references = new Map<string, Promise<QueryResult>>();
  let file: Promise<Uint8Array> | undefined;
  const remembered = (key: string, make: () => Promise<QueryResult>): Promise<QueryResult> => {
    const known = references.get(key);
    if (known) return known;
    const made = make();
    references.set(key, made);
    // What failed is asked again: it may have been the machine.
    made.then(
      ({ kind }) => kind !== "rows" && references.delete(key),
      () => references.delete(key),
    );
    if (references.size > 64) references.delete(references.keys().next().value!);
    return made;
  };
  return reward(name, { version, columns }, async ({ text, reference, setup = "" }, { signal }): Promise<Grade> => {
    const database = path === undefined ? undefined : await (file ??= thisHost().then((host) => host.readBytes(path)));
    const query = lastProgram(text, ["sql", "sqlite", "duckdb", "sqlite3"]);
    if (query === null) return { value: 0, note: "there is no SQL in the answer" };
    for (const one of typeof setup === "string" ? [setup] : setup) {
      const about = { ...limits, setup: one, ...(database ? { database } : {}) };
      const expected = await remembered(JSON.stringify([one, reference]), () => runQuery(reference, about));
      if (expected.kind === "setup") return unscorable("wrong-column", `The set-up fails: ${expected.message}.`);
      if (expected.kind !== "rows") return unscorable("wrong-column", `The reference query fails: ${expected.message}.`);
      const got = await runQuery(query, { ...about, signal });
      if (got.kind === "setup") return unscorable("threw", `The set-up fails: ${got.message}.`);
      if (got.kind !== "rows") return { value: 0, note: got.message };
      const counts = ordered === "auto" ? isOrdered(reference) : ordered;
      if (expected.columns !== got.columns) return { value: 0, note: `it gives ${got.columns} columns instead of ${expected.columns}` };
      if (!sameRows(expected.rows, got.rows, { ordered: counts, anyColumnOrder }))
        return { value: 0, note: `its ${got.rows.length} rows are not the ${expected.rows.length} that are expected` };
    }
    return 1;
  });
}

function resolved({ dialect, timeoutMs = 10_000, memoryMiB = 256, rowLimit = 100_000 }: Omit<RunQueryOptions, "database">) {
  if (!Object.hasOwn(kinds, dialect)) throw new GuerdonError("usage", `SQL: dialect must be sqlite or duckdb, not ${String(dialect)}.`);
  const options = { dialect, timeoutMs, memoryMiB, rowLimit };
  for (const [option, least, most] of [
    ["timeoutMs", 1, 3_600_000],
    ["memoryMiB", 1, 1024],
    ["rowLimit", 1, 10_000_000],
  ] as const)
    if (!(options[option] >= least && options[option] <= most))
      throw new GuerdonError("usage", `SQL: ${option} must be from ${least} to ${most}, not ${options[option]}.`);
  return options;
}
