import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import zlib from "node:zlib";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { countRows, readRows, thisHost } from "../../src/data/index.ts";
import { readWithDuckDB, readWithHyparquet } from "../../src/data/parquet.ts";

const folder = mkdtempSync(join(tmpdir(), "guerdon-parquet-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const item of items) out.push(item);
  return out;
}

/** What data sets hold, nested as verl nests it; a whole number beyond 2^53, a null, a time, bytes. */
const select = `
  SELECT 'it''s ' || i AS prompt,
    [{role: 'user', content: 'q' || i}, {role: 'assistant', content: 'a'}] AS messages,
    {style: 'rule', ground_truth: i::VARCHAR} AS reward_model,
    9007199254740993::BIGINT AS big, i::BIGINT AS small, i * 0.5 AS half,
    CASE WHEN i % 2 = 0 THEN i = 0 END AS label, ['x', NULL, 'z'] AS list,
    TIMESTAMP '2026-01-02 03:04:05.678' AS time, '\\xAA\\x01'::BLOB AS bytes
  FROM range(N) r(i)`;

beforeAll(async () => {
  const connection = await (await DuckDBInstance.create()).connect();
  for (const codec of ["snappy", "zstd", "gzip", "brotli", "uncompressed"])
    await connection.run(
      `COPY (${select.replace("range(N)", "range(5)")}) TO '${at(`${codec}.parquet`)}' (FORMAT parquet, CODEC '${codec}')`,
    );
  await connection.run(
    `COPY (${select.replace("range(N)", "range(9000)")}) TO '${at("many.parquet")}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`,
  );
  await connection.run(`COPY (SELECT 1 AS prompt WHERE false) TO '${at("none.parquet")}' (FORMAT parquet)`);
  connection.closeSync();
});

const second = {
  prompt: "it's 1",
  messages: [
    { role: "user", content: "q1" },
    { role: "assistant", content: "a" },
  ],
  reward_model: { style: "rule", ground_truth: "1" },
  big: "9007199254740993",
  small: 1,
  half: 0.5,
  label: null,
  list: ["x", null, "z"],
  time: "2026-01-02T03:04:05.678Z",
  bytes: "qgE=",
};

test.each(["snappy", "zstd", "gzip", "brotli", "uncompressed"])("both readers give the same plain rows from %s", async (codec) => {
  const path = at(`${codec}.parquet`);
  const host = await thisHost();
  const [one, other] = [(await all(readWithDuckDB(path))).flat(), (await all(readWithHyparquet(path, host))).flat()];
  expect(one).toHaveLength(5);
  expect(one[1]).toEqual(second);
  expect(other).toEqual(one);
  expect(JSON.parse(JSON.stringify(one))).toEqual(one);
});

test("rows come in order with their numbers, over row groups", async () => {
  const rows = await all(readRows(at("many.parquet")));
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 9000 }, (_, i) => i + 1));
  expect(rows[8999]).toMatchObject({ where: `${at("many.parquet")} row 9000`, row: { small: 8999 } });
  expect((await all(readWithHyparquet(at("many.parquet"), await thisHost()))).flat().map(({ small }) => small)).toEqual(
    rows.map(({ row }) => row["small"]),
  );
  expect(await countRows(at("many.parquet"))).toBe(9000);
  expect(await all(readRows(at("none.parquet")))).toEqual([]);
});

test("a damaged Parquet file is an error that names it", async () => {
  writeFileSync(at("bad.parquet"), "PAR1 and then something else");
  await expect(all(readRows(at("bad.parquet")))).rejects.toMatchObject({
    code: "input",
    message: expect.stringMatching(/bad\.parquet cannot be read as Parquet/),
  });
  await expect(all(readWithHyparquet(at("bad.parquet"), await thisHost()))).rejects.toMatchObject({ code: "input" });
  await expect(all(readRows(at("not-there.parquet")))).rejects.toMatchObject({ code: "io" });
});

test("gzip and Zstandard are recognised by their beginning, several members too; other packers are refused with what unpacks them", async () => {
  const text = '{"a":1}\n{"a":2}\n';
  writeFileSync(at("a.jsonl.gz"), zlib.gzipSync(text));
  writeFileSync(at("b.jsonl.zst"), zlib.zstdCompressSync(text));
  writeFileSync(at("misnamed.jsonl"), zlib.gzipSync(text));
  writeFileSync(at("members.jsonl.gz"), Buffer.concat([zlib.gzipSync('{"a":1}\n'), zlib.gzipSync('{"a":2}\n')]));
  writeFileSync(at("c.csv.gz"), zlib.gzipSync("a\n1\n2\n"));
  for (const name of ["a.jsonl.gz", "b.jsonl.zst", "misnamed.jsonl", "members.jsonl.gz"])
    expect((await all(readRows(at(name)))).map(({ row }) => row)).toEqual([{ a: 1 }, { a: 2 }]);
  expect(await countRows(at("c.csv.gz"))).toBe(2);
  writeFileSync(at("cut.jsonl.gz"), zlib.gzipSync(text).subarray(0, 20));
  await expect(all(readRows(at("cut.jsonl.gz")))).rejects.toMatchObject({
    code: "input",
    message: expect.stringMatching(/cut\.jsonl\.gz is damaged/),
  });
  writeFileSync(at("d.jsonl.bz2"), Buffer.from("BZh91AY&SY"));
  await expect(all(readRows(at("d.jsonl.bz2")))).rejects.toThrow(
    /d\.jsonl\.bz2 is a bzip2 file, which cannot be read\. Unpack it first: bunzip2 -k .*d\.jsonl\.bz2/,
  );
});
