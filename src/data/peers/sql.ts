/**
 * Runs one query on SQLite or DuckDB, in a process that can be killed: neither can be stopped from JavaScript while it works on a statement.
 * Each job makes its database anew in memory.
 */
import { constants, DatabaseSync } from "node:sqlite";
import { answerJobs } from "../peer.ts";

interface Job {
  readonly dialect: "sqlite" | "duckdb";
  /** Statements that make the tables. */
  readonly setup: string;
  /** A whole SQLite database, before the set-up. */
  readonly bytes?: Uint8Array;
  readonly query: string;
  readonly rowLimit: number;
  readonly memoryMiB: number;
}
export type Cell = string | number | boolean | null;
type Answer =
  | { readonly kind: "rows"; readonly rows: Cell[][]; readonly columns: number }
  | { readonly kind: "setup" | "error" | "forbidden" | "output"; readonly message: string };

answerJobs((job: Job) => (job.dialect === "sqlite" ? sqlite(job) : duckdb(job)));

const reading = new Set([constants.SQLITE_SELECT, constants.SQLITE_READ, constants.SQLITE_FUNCTION, constants.SQLITE_RECURSIVE]);
/** Functions that reach further than the rows, in the builds that have them. */
const reaching = new Set(["load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "sqlite_dbpage", "fsdir"]);
/** The most characters or bytes of one cell, and the most characters of all text of a result: it goes to another process as a whole. */
const longest = 1_000_000;
const mostText = 50_000_000;

function sqlite({ setup, bytes, query, rowLimit, memoryMiB }: Job): Answer {
  using database = new DatabaseSync(":memory:", { allowExtension: false, limits: { attach: 0 } });
  try {
    if (bytes) database.deserialize(bytes);
    database.exec(`PRAGMA hard_heap_limit = ${memoryMiB * 2 ** 20}`);
    database.exec(setup);
  } catch (cause) {
    return { kind: "setup", message: messageOf(cause) };
  }
  database.limits.length = longest;
  let refused = "";
  database.setAuthorizer((action, first, second) => {
    const name = action === constants.SQLITE_FUNCTION ? String(second).toLowerCase() : "";
    if (reading.has(action) && !reaching.has(name)) return constants.SQLITE_OK;
    refused ||=
      name ||
      Object.entries(constants).find(([key, value]) => value === action && !/OK|DENY|IGNORE|CHANGESET/.test(key))?.[0] ||
      String(first);
    return constants.SQLITE_DENY;
  });
  try {
    const statement = database.prepare(query);
    statement.setReturnArrays(true);
    statement.setReadBigInts(true);
    const columns = statement.columns().length;
    const result = collector(rowLimit);
    for (const row of statement.iterate()) {
      const tooMuch = result.add(row as unknown as unknown[]);
      if (tooMuch !== null) return { kind: "output", message: tooMuch };
    }
    return { kind: "rows", rows: result.rows, columns };
  } catch (cause) {
    return refused
      ? {
          kind: "forbidden",
          message: `it may only read (${refused.replace("SQLITE_", "").toLowerCase().replaceAll("_", " ")} was refused)`,
        }
      : { kind: "error", message: messageOf(cause) };
  }
}

async function duckdb({ setup, query, rowLimit, memoryMiB }: Job): Promise<Answer> {
  const { DuckDBInstance, StatementType } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(":memory:", { threads: "1" });
  try {
    const connection = await instance.connect();
    try {
      for (const setting of [
        `memory_limit='${memoryMiB}MiB'`,
        "temp_directory=''",
        "autoinstall_known_extensions=false",
        "autoload_known_extensions=false",
        "allow_community_extensions=false",
        "enable_external_access=false",
        "lock_configuration=true",
      ])
        await connection.run(`SET ${setting}`);
      if (setup.trim() !== "") await connection.run(setup);
    } catch (cause) {
      return { kind: "setup", message: messageOf(cause) };
    }
    try {
      const statements = await connection.extractStatements(query);
      const prepared = await statements.prepare(0);
      if (prepared.statementType !== StatementType.SELECT) return { kind: "forbidden", message: "it may only read" };
      const result = await prepared.stream();
      const columns = result.columnCount;
      const collected = collector(rowLimit);
      for await (const chunk of result.yieldRowsJs())
        for (const row of chunk) {
          const tooMuch = collected.add(row as unknown[]);
          if (tooMuch !== null) return { kind: "output", message: tooMuch };
        }
      return { kind: "rows", rows: collected.rows, columns };
    } catch (cause) {
      return { kind: "error", message: messageOf(cause) };
    } finally {
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
}

/** Collects the rows of a result up to the limits; `add` says which of them a row goes beyond. */
function collector(rowLimit: number): { readonly rows: Cell[][]; add(row: readonly unknown[]): string | null } {
  const rows: Cell[][] = [];
  let text = 0;
  return {
    rows,
    add(row) {
      if (rows.length >= rowLimit) return `it gives more than ${rowLimit} rows`;
      const cells = row.map(cell);
      for (const one of cells) if (typeof one === "string") text += one.length;
      if (text > mostText) return `it gives more than ${mostText} characters`;
      rows.push(cells);
      return null;
    },
  };
}

/** A cell as JSON: numbers beyond 2^53 and dates as text, bytes in hexadecimal. */
function cell(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString("hex")}`;
  return JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? String(item) : item));
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).split("\n")[0]!.slice(0, 300);
