import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { csvParser, formatCsvRecord } from "../../src/data/csv.ts";
import { countRows, readRows } from "../../src/data/index.ts";

const folder = mkdtempSync(join(tmpdir(), "guerdon-csv-"));
afterAll(() => rmSync(folder, { recursive: true }));
function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const item of items) out.push(item);
  return out;
}
const rowsOf = async (path: string) => (await all(readRows(path))).map(({ row }) => row);

/** The cells of a text that arrives in pieces of `size` characters. */
function cellsOf(text: string, size = 1e9, delimiter = ","): string[][] {
  const parser = csvParser(delimiter, "x.csv");
  const records = [];
  for (let at = 0; at < text.length; at += size) records.push(...parser.push(text.slice(at, at + size)));
  records.push(...parser.end());
  return records.map(({ cells }) => [...cells]);
}

test.each<[string, string, string[][]]>([
  [
    "plain",
    "a,b\n1,2\n",
    [
      ["a", "b"],
      ["1", "2"],
    ],
  ],
  [
    "CRLF and no end",
    "a,b\r\n1,2",
    [
      ["a", "b"],
      ["1", "2"],
    ],
  ],
  [
    "empty cells",
    ",\n,x\nx,",
    [
      ["", ""],
      ["", "x"],
      ["x", ""],
    ],
  ],
  ["quoted delimiters, quotes, line ends", '"a,b","say ""hi""","two\r\nlines"\r\n', [["a,b", 'say "hi"', "two\r\nlines"]]],
  ["blank lines between records", "a\n\n\r\nb\n\n", [["a"], ["b"]]],
  ["a quoted empty cell is a record", 'a\n""\n', [["a"], [""]]],
  ["blanks are part of cells", " a , b \n", [[" a ", " b "]]],
  ["a return inside an unquoted cell", "a\rb,c\n", [["a\rb", "c"]]],
  ["only quotes", '""""\n', [['"']]],
])("%s", (_, text, cells) => {
  for (const size of [1e9, 1, 2, 3]) expect(cellsOf(text, size)).toEqual(cells);
});

test.each<[string, RegExp]>([
  ['a,"b\nc', /x\.csv line 1: a quoted cell begins here and never ends/],
  ['a\n\n"b"c,d\n', /x\.csv line 3: there is "c" after a closing quote/],
  ['"1\n2"\n5" pipe,d\n', /x\.csv line 3: there is a quote inside the unquoted cell "5\\" pipe"/],
])("%j is refused with its line", (text, message) => {
  for (const size of [1e9, 1, 2]) expect(() => cellsOf(text, size)).toThrow(message);
});

test("what is written is read back, however it is cut", () => {
  const cell = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.string({ unit: fc.constantFrom('"', ",", "\n", "\r", "a", " ", "\t", "\ufeff") }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.array(cell, { minLength: 1, maxLength: 4 })),
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(",", "\t"),
      (records, size, delimiter) => {
        const text = records.map((cells) => formatCsvRecord(cells, delimiter)).join("");
        expect(cellsOf(text, size, delimiter)).toEqual(records);
      },
    ),
    { seed: 1, numRuns: 500 },
  );
});

test("rows have the header's names, and their row number and line", async () => {
  const path = file("a.csv", '\ufeffprompt,completion\r\n"two\nlines",b\r\n\r\nc,d');
  expect(await all(readRows(path))).toEqual([
    { number: 1, line: 2, where: `${path} row 1 (line 2)`, row: { prompt: "two\nlines", completion: "b" } },
    { number: 2, line: 5, where: `${path} row 2 (line 5)`, row: { prompt: "c", completion: "d" } },
  ]);
  expect(await countRows(path)).toBe(2);
  expect(await rowsOf(file("a.tsv", "a\tb\n1,5\t2\n"))).toEqual([{ a: "1,5", b: "2" }]);
  expect(await rowsOf(file("only-head.csv", "a,b\n"))).toEqual([]);
});

test("what is no table is refused with row and line", async () => {
  await expect(rowsOf(file("short.csv", "a,b\n1,2\n3\n"))).rejects.toThrow(
    /short\.csv row 2 \(line 3\) has 1 cell, and there are 2 columns: a, b/,
  );
  await expect(rowsOf(file("twice.csv", "a,b,a\n"))).rejects.toThrow(/two columns named "a"/);
  await expect(rowsOf(file("semi.csv", "a;b\n1;2\n"))).rejects.toThrow(/separated by semicolons/);
});
