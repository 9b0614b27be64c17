import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { countRows, readRows, referenceColumn, thisHost } from "../../src/data/index.ts";
import { browserHost } from "../../src/data/host-browser.ts";
import { splitLines } from "../../src/data/lines.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "guerdon-data-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const item of items) out.push(item);
  return out;
}
const rowsOf = (path: string) => all(readRows(path));

test("JSONL with a byte-order mark, CRLF and blank lines, each row with its place", async () => {
  const path = file("a.jsonl", '\ufeff{"prompt":"ä"}\r\n\r\n  \n{"prompt":"b"}');
  expect(await rowsOf(path)).toEqual([
    { number: 1, line: 1, where: `${path} row 1`, row: { prompt: "ä" }, text: '{"prompt":"ä"}' },
    { number: 2, line: 4, where: `${path} row 2 (line 4)`, row: { prompt: "b" }, text: '{"prompt":"b"}' },
  ]);
  expect(await countRows(path)).toBe(2);
  expect(await rowsOf(file("empty.jsonl", ""))).toEqual([]);
});

test("bad lines are named by file and line", async () => {
  await expect(rowsOf(file("cut.jsonl", '{"a":1}\n{"a":'))).rejects.toThrow(
    /cut\.jsonl line 2 is not JSON: .* Each line must be one complete JSON object/,
  );
  await expect(rowsOf(file("list.jsonl", "[1]"))).rejects.toThrow(/list\.jsonl line 1 is a list, not a JSON object/);
  await expect(rowsOf(file("latin.jsonl", Uint8Array.of(0x7b, 0xe4, 0x7d)))).rejects.toThrow(/latin\.jsonl is not UTF-8 text/);
  await expect(rowsOf(join(folder, "none.jsonl"))).rejects.toMatchObject({
    code: "io",
    message: expect.stringMatching(/none\.jsonl: there is no such file/),
  });
  await expect(rowsOf("rows.xlsx")).rejects.toMatchObject({ code: "unsupported" });
  await expect(rowsOf(file("list.json", '[\n{"a":1}]'))).rejects.toThrow(
    /list\.json is one JSON list\. .*jq -c '\.\[\]' .*list\.json > .*list\.jsonl/,
  );
});

test("lines survive any cut into chunks", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: "grapheme" }).map((s) => s.replaceAll(/[\r\n]/g, ""))), fc.nat(7), async (lines, size) => {
      const bytes = new TextEncoder().encode(lines.map((line) => `${line}\r\n`).join(""));
      async function* chunks() {
        for (let at = 0; at < bytes.length; at += size + 1) yield bytes.subarray(at, at + size + 1);
      }
      // A byte-order mark at the very start is not part of the first line.
      const expected = lines.map((line, i) => (i === 0 ? line.replace(/^\ufeff/, "") : line));
      expect(await all(splitLines(chunks()))).toEqual(expected);
    }),
    { seed: 1 },
  );
});

test("the Node host writes in one step and leaves no drafts behind", async () => {
  const host = await thisHost();
  const path = join(folder, "deep", "er", "file.txt");
  expect(await host.exists(path)).toBe(false);
  await host.writeAtomic(path, "one");
  await host.writeAtomic(path, "two");
  await host.append(path, "\nthree\n");
  expect(readFileSync(path, "utf8")).toBe("two\nthree\n");
  expect(await host.readText(path)).toBe("two\nthree\n");
  expect(await host.readBytes(path)).toHaveLength(10);
  expect(await all(host.readLines(path))).toEqual(["two", "three"]);
  expect(await host.list(join(folder, "deep", "er"))).toEqual(["file.txt"]);
  await expect(host.writeAtomic(join(folder, "deep"), "x")).rejects.toMatchObject({ code: "io" });
  expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  await expect(host.readText(join(folder, "deep"))).rejects.toThrow(/Cannot read .*deep: it is a folder/);
  await expect(host.list(join(folder, "nowhere"))).rejects.toThrow(/no such file or folder/);
});

test("in a browser a path is one clear error", async () => {
  const host = browserHost();
  const refusal = { code: "unsupported", message: expect.stringMatching(/^"a\.jsonl" is a path, and a browser cannot open paths/) };
  await expect(host.readText("a.jsonl")).rejects.toMatchObject(refusal);
  await expect(all(host.readLines("a.jsonl"))).rejects.toMatchObject(refusal);
  await expect(all(readRows("a.jsonl", { host }))).rejects.toMatchObject(refusal);
  await expect(host.writeAtomic("a.jsonl", "")).rejects.toMatchObject(refusal);
});

test("a digest is the same in Node and in a browser", async () => {
  for (const text of ["", "a", "ä\u{1f600}", "x".repeat(1000)]) {
    const name = await (await thisHost()).digest(text);
    expect(name).toMatch(/^[\w-]{32}$/);
    expect(await browserHost().digest(text)).toBe(name);
  }
});

test("the reference column is recognised when there is exactly one", () => {
  expect(referenceColumn(["prompt", "ground_truth"], "x.jsonl")).toBe("ground_truth");
  expect(referenceColumn(["prompt"], "x.jsonl")).toBeNull();
  expect(() => referenceColumn(["answer", "reference", "target"], "x.jsonl")).toThrow(
    /x\.jsonl: the reference could be "reference" or "answer" or "target"\. .*--columns reference=answer/,
  );
});
