import type { DuckDBConnection } from "@duckdb/node-api";
import { GuerdonError } from "../error.ts";
import type { Host } from "./host.ts";

/** Rows of a Parquet file, in lots, as plain data (see `plain`). */
export type RowLots = AsyncGenerator<Record<string, unknown>[], void, undefined>;

/**
 * Reads a Parquet file with whichever reader is installed: DuckDB, in lots of 2,048 rows, or hyparquet, which also runs in a browser and
 * takes a row group at a time.
 *
 * @throws GuerdonError "missing-dependency" where neither is installed; "input" for a file that is damaged
 */
export async function* readParquet(path: string, host: Host): RowLots {
  const duckdb = await loadDuckDB();
  yield* duckdb === null ? readWithHyparquet(path, host) : readWithDuckDB(path);
}

/** The number of rows, from the file's footer. */
export async function countParquet(path: string, host: Host): Promise<number> {
  const duckdb = await loadDuckDB();
  if (duckdb === null) return Number((await openWithHyparquet(path, host)).metadata.num_rows);
  return withDuckDB(async (connection) => {
    const reader = await asInput(path, () => connection.runAndReadAll(`SELECT count(*) FROM read_parquet(${sqlText(path)})`));
    return Number(reader.getRows()[0]![0]);
  });
}

export async function* readWithDuckDB(path: string): RowLots {
  const { instance, connection } = await openDuckDB();
  try {
    const result = await asInput(path, () => connection.stream(`SELECT * FROM read_parquet(${sqlText(path)})`));
    const lots = result.yieldRowObjectJs();
    for (;;) {
      const { value, done } = await asInput(path, () => lots.next());
      if (done === true) break;
      yield (value as Record<string, unknown>[]).map((row) => plain(row) as Record<string, unknown>);
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

export async function* readWithHyparquet(path: string, host: Host): RowLots {
  const { parquetReadObjects, file, metadata, compressors } = await openWithHyparquet(path, host);
  let start = 0;
  for (const { num_rows } of metadata.row_groups) {
    const end = start + Number(num_rows);
    const rows = await asInput(path, () => parquetReadObjects({ file, metadata, compressors, utf8: false, rowStart: start, rowEnd: end }));
    yield rows.map((row) => plain(row) as Record<string, unknown>);
    start = end;
  }
}

async function openWithHyparquet(path: string, host: Host) {
  const hyparquet = await optional(() => import("hyparquet"));
  if (hyparquet === null)
    throw new GuerdonError(
      "missing-dependency",
      `${path}: Parquet files are read by hyparquet or DuckDB, and neither is installed: npm install hyparquet`,
    );
  const size = (await host.stat(path))?.size ?? 0;
  const file = {
    byteLength: size,
    slice: async (start: number, end = size) => {
      const bytes = await host.readRange(path, start, end);
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    },
  };
  const compressors = {
    GZIP: (bytes: Uint8Array) => host.decompress("gzip", bytes),
    ZSTD: (bytes: Uint8Array) => host.decompress("zstd", bytes),
    BROTLI: (bytes: Uint8Array) => host.decompress("brotli", bytes),
  };
  const metadata = await asInput(path, () => hyparquet.parquetMetadataAsync(file));
  return { parquetReadObjects: hyparquet.parquetReadObjects, file, metadata, compressors };
}

/** Runs SQL in a database of its own, in memory. @throws GuerdonError "missing-dependency" where DuckDB is not installed */
export async function withDuckDB<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
  const { instance, connection } = await openDuckDB();
  try {
    return await work(connection);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function openDuckDB() {
  const duckdb = await loadDuckDB();
  if (duckdb === null)
    throw new GuerdonError(
      "missing-dependency",
      "Parquet files are written by DuckDB, which is not installed: npm install @duckdb/node-api (or write JSONL).",
    );
  const instance = await duckdb.DuckDBInstance.create();
  return { instance, connection: await instance.connect() };
}

export const sqlText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

type DuckDB = typeof import("@duckdb/node-api");

/** Named by a variable, so that bundlers for browsers leave it alone: it is native code. */
function loadDuckDB(): Promise<DuckDB | null> {
  const name = "@duckdb/node-api";
  return optional(async () => (await import(name)) as DuckDB);
}

/** A package that need not be there; null when it is not. */
async function optional<T>(load: () => Promise<T>): Promise<T | null> {
  try {
    return await load();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : "";
    if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") return null;
    throw cause;
  }
}

async function asInput<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof GuerdonError) throw cause;
    // The lines after the first quote a statement that the user never wrote.
    const [why] = (cause instanceof Error ? cause.message : String(cause)).split("\n");
    throw new GuerdonError("input", `${path} cannot be read as Parquet: ${why}`, { cause });
  }
}

/**
 * A value of a Parquet file as JSON could hold it: whole numbers beyond 2^53 and bytes (in base64) become text, times become ISO 8601 text,
 * undefined becomes null. Both readers give the same.
 */
export function plain(value: unknown): unknown {
  if (typeof value === "bigint")
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : String(value);
  if (value === undefined || value === null) return null;
  if (typeof value !== "object") return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join(""));
  if (Array.isArray(value)) return value.map(plain);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plain);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
