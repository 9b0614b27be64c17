import { afterAll, describe, expect, it } from "vitest";
import { closeSandboxes, runQuery, sandboxPids, score, sqlResult, type QueryResult, type SqlDialect } from "../../../src/rewards/index.ts";
import { inTime, withEnough } from "../../kit/crowding.ts";
import { alive } from "../../kit/process.ts";
import { ampleMs } from "./kit.ts";

type Ends = readonly QueryResult["kind"][];
const setup = "CREATE TABLE t(a INTEGER, b VARCHAR(9)); INSERT INTO t VALUES (1, 'x'), (2, 'y')";
const shut: Ends = ["forbidden", "error"];
const stopped: Ends = ["timeout", "memory", "error", "output", "crash"];
const endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";
const both: readonly (readonly [string, string, Ends])[] = [
  ["counting an endless recursion", `${endless} SELECT count(*) FROM c`, ["timeout", "memory"]],
  ["the rows of an endless recursion", `${endless} SELECT x FROM c`, stopped],
  ["dropping a table", "DROP TABLE t", shut],
  ["changing rows", "UPDATE t SET a = 0", shut],
  ["inserting what a query returns", "INSERT INTO t SELECT a, b FROM t RETURNING a", shut],
  ["attaching a file", "ATTACH '/etc/passwd' AS p", shut],
  ["a second statement", "SELECT 1; DROP TABLE t", shut],
  ["a second statement behind a comment", "SELECT 1 /* ; */ ; -- x\n DROP TABLE t", shut],
  ["loading an extension", "SELECT load_extension('evil')", shut],
  ["a huge text", "SELECT length(printf('%1000000000d', 1))", [...stopped, "rows"]],
  [
    "a product of many tables",
    `SELECT count(*) FROM ${Array.from({ length: 40 }, (_, i) => `t t${i}`).join(", ")}`,
    ["timeout", "memory", "error"],
  ],
  ["brackets nested deeply", `SELECT ${"(".repeat(20_000)}1${")".repeat(20_000)}`, stopped],
];
const own: Record<SqlDialect, readonly (readonly [string, string, Ends])[]> = {
  sqlite: [
    ["a pragma", "PRAGMA writable_schema = 1", shut],
    ["a pragma as a table", "SELECT * FROM pragma_database_list", shut],
    ["reading a file", "SELECT readfile('/etc/passwd')", shut],
    ["writing a file", "VACUUM INTO '/tmp/guerdon-stolen.db'", shut],
    ["a virtual table", "CREATE VIRTUAL TABLE v USING csv(filename = '/etc/passwd')", shut],
    ["a temporary trigger", "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END", shut],
    ["a huge blob", "SELECT zeroblob(1000000000)", stopped],
    [
      "a pattern that backtracks",
      `${endless} SELECT count(*) FROM c WHERE printf('%0*d', 5000, x) LIKE '%1%2%3%4%5%6%7%8%9%'`,
      ["timeout"],
    ],
  ],
  duckdb: [
    ["a file as a table", "SELECT * FROM '/etc/passwd'", shut],
    ["a file as text", "SELECT * FROM read_text('/etc/passwd')", shut],
    ["copying out", "COPY t TO '/tmp/guerdon-stolen.csv'", shut],
    ["an extension from the network", "INSTALL httpfs", shut],
    ["settings", "SET memory_limit = '100GB'", shut],
    ["the environment", "SELECT getenv('HOME')", shut],
    [
      "a cross join of series",
      "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7",
      ["timeout", "memory"],
    ],
    ["a list without end", "SELECT list_sum(range(1000000000000))", stopped],
    ["a regular expression", "SELECT regexp_matches(repeat('a', 100000) || 'b', '^(a+)+$')", ["rows", ...stopped]],
  ],
};

describe.each(["sqlite", "duckdb"] as const)("%s queries that mean harm", (dialect) => {
  it.each([...both, ...own[dialect]])("%s", async (_, query, ends) => {
    const before = sandboxPids();
    const timeoutMs = ends.includes("timeout") ? 1000 : ampleMs;
    const result = await inTime(
      () => runQuery(query, { dialect, setup, timeoutMs, rowLimit: 10_000 }),
      (crowd) => timeoutMs + 2500 * crowd,
    );
    expect(ends, JSON.stringify(result).slice(0, 300)).toContain(result.kind);
    const now = sandboxPids();
    for (const pid of before) if (!now.includes(pid)) expect(alive(pid)).toBe(false);
    const after = await runQuery("SELECT b FROM t ORDER BY a", { dialect, setup, timeoutMs: ampleMs });
    expect(after).toEqual({ kind: "rows", columns: 1, rows: [["x"], ["y"]] });
  });
});

describe("sqlResult under attack", () => {
  it("gives zero with a note, and null where the reference is at fault", async () => {
    const row = { prompt: "", reference: "SELECT a FROM t", setup };
    const scores = await score(sqlResult({ dialect: "sqlite", timeoutMs: ampleMs }), [
      { ...row, completion: "```sql\nSELECT a FROM t\n```" },
      { ...row, completion: "SELECT 2" },
      { ...row, completion: "SELECT 1", reference: "SELECT nothing FROM nowhere" },
      { ...row, completion: "SELECT 1", setup: "nonsense" },
    ]);
    expect(scores.map(({ value }) => value)).toEqual([1, 0, null, null]);
    expect(scores[2]!.error?.kind).toBe("wrong-column");
    // The reference has the same time as the answer: as much as this machine takes for it.
    const completion = `\`\`\`sql\n${endless} SELECT count(*) FROM c\n\`\`\``;
    const late = await withEnough([700, 7000, 20_000], async (timeoutMs) => {
      const one = await score(sqlResult({ dialect: "sqlite", timeoutMs }), { ...row, completion });
      return one.error?.kind === "wrong-column" ? null : { one, timeoutMs };
    });
    expect(late?.one).toMatchObject({ value: 0, note: `it took longer than ${late?.timeoutMs} ms` });
  });

  afterAll(async () => {
    const pids = sandboxPids();
    await closeSandboxes();
    expect(pids.filter(alive)).toEqual([]);
  });
});
