// Rows a second and peak memory of `guerdon score`, each in a process of its own: node --conditions=guerdon-source bench/score.ts [rows ...]
import { execFile } from "node:child_process";
import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { run } from "../src/cli/program.ts";
import { withDuckDB } from "../src/data/parquet.ts";

const self = import.meta.filename;
const rewards = join(import.meta.dirname, "cheap-rewards.ts");

async function makeInputs(folder: string, rows: number): Promise<Record<string, string>> {
  function* lines() {
    for (let i = 0; i < rows; i++) {
      const sum = 2 * (i >> 3);
      yield `{"prompt":"What is ${i >> 3} plus ${i >> 3}?","completion":"Let me think about it step by step. The answer is ${sum + (i % 8)}.","reference":"${sum}","id":${i}}\n`;
    }
  }
  const paths = Object.fromEntries(["jsonl", "jsonl.gz", "csv", "parquet"].map((format) => [format, join(folder, `rows.${format}`)]));
  await pipeline(lines(), createWriteStream(paths["jsonl"]!));
  await pipeline(lines(), zlib.createGzip({ level: 1 }), createWriteStream(paths["jsonl.gz"]!));
  await withDuckDB(async (connection) => {
    const source = `(SELECT * FROM read_json('${paths["jsonl"]}', format = 'newline_delimited'))`;
    await connection.run(`COPY ${source} TO '${paths["csv"]}' (FORMAT csv, HEADER)`);
    await connection.run(`COPY ${source} TO '${paths["parquet"]}' (FORMAT parquet)`);
  });
  return paths;
}

interface Measured {
  readonly rowsPerSecond: number;
  readonly seconds: number;
  readonly peakMiB: number;
}

async function measure(words: readonly string[]): Promise<Measured> {
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, self, "--one", ...words], { maxBuffer: 1 << 24 });
  const { rowsPerSecond, seconds } = JSON.parse(stdout.slice(0, stdout.lastIndexOf("\n{"))) as Measured;
  const { peakMiB } = JSON.parse(stdout.slice(stdout.lastIndexOf("\n{"))) as Measured;
  return { rowsPerSecond, seconds, peakMiB };
}

async function all(counts: readonly number[]): Promise<void> {
  for (const rows of counts) {
    const folder = mkdtempSync(join(tmpdir(), "guerdon-bench-"));
    try {
      const inputs = await makeInputs(folder, rows);
      const out = (format: string) => join(folder, `out.${format}`);
      const cases: readonly (readonly [name: string, input: string, reward: string, out: string, ...more: string[]])[] = [
        ["JSONL to JSONL", inputs["jsonl"]!, "correct", out("jsonl")],
        ["gzip to JSONL", inputs["jsonl.gz"]!, "correct", out("jsonl")],
        ["CSV to CSV", inputs["csv"]!, "correct", out("csv")],
        ["Parquet to Parquet", inputs["parquet"]!, "correct", out("parquet")],
        ["JSONL, groups of 8", inputs["jsonl"]!, "place", out("jsonl")],
        ["JSONL, empty cache", inputs["jsonl"]!, "correct", out("jsonl"), "--cache", join(folder, "cache")],
        ["JSONL, full cache", inputs["jsonl"]!, "correct", out("jsonl"), "--cache", join(folder, "cache")],
      ];
      for (const [name, input, reward, to, ...more] of cases) {
        const { rowsPerSecond, seconds, peakMiB } = await measure([
          "score",
          input,
          "--reward",
          `${rewards}#${reward}`,
          "--out",
          to,
          "--overwrite",
          "--json",
          ...more,
        ]);
        console.log(
          `${String(rows).padStart(8)} rows  ${name.padEnd(20)} ${Math.round(rowsPerSecond).toLocaleString("en-US").padStart(9)} rows/s  ${seconds.toFixed(1).padStart(6)} s  peak ${Math.round(peakMiB)} MiB`,
        );
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
}

if (process.argv[2] === "--one") {
  process.exitCode = await run(process.argv.slice(3));
  process.stdout.write(`${JSON.stringify({ peakMiB: process.resourceUsage().maxRSS / 1024 })}\n`);
} else if (process.argv[1] === self) await all(process.argv.length > 2 ? process.argv.slice(2).map(Number) : [100_000, 1_000_000]);
