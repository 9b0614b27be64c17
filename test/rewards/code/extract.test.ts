import { describe, expect, it } from "vitest";
import { codeBlocks, lastProgram, readTests, sameRows } from "../../../src/rewards/index.ts";
import { isOrdered, statementCount } from "../../../src/rewards/verify/code/sql-rows.ts";
import { readValue, sameOutput, sameValue, type Value } from "../../../src/rewards/verify/code/values.ts";
import { processorTime } from "../../kit/crowding.ts";

describe("the program in an answer", () => {
  it("is the last block in the language", () => {
    const text = "First:\n```python\nold\n```\nno, rather:\n```py\nnew\n```\nIt prints\n```text\n42\n```";
    expect(lastProgram(text, ["python", "py"])).toBe("new");
    expect(codeBlocks(text).map(({ language }) => language)).toEqual(["python", "py", "text"]);
  });
  it.each([
    ["a block without a language", "```\nx\n```", "x"],
    ["text without fences", "x = 1", "x = 1"],
    ["a block that is never closed", "so:\n```python\nx\ny", "x\ny"],
    ["a longer fence around a shorter one", "````python\n```\nx\n````", "```\nx"],
    ["tildes", "~~~python\nx\n~~~", "x"],
    ["an indented fence and Windows line ends", "  ```python\r\nx\r\n  ```\r\n", "x"],
    ["blocks in other languages only", "```bash\nls\n```", null],
    ["an empty block after a full one", "```python\nx\n```\n```python\n\n```", "x"],
    ["nothing", "  \n", null],
  ])("%s", (_, text, program) => {
    expect(lastProgram(text, ["python"])).toBe(program);
  });
  it("is found in linear time", async () => {
    const took = await processorTime(() => {
      codeBlocks("```".repeat(200_000));
      codeBlocks("```\n".repeat(200_000));
    });
    expect(took).toBeLessThan(1000);
  });
});

describe("values", () => {
  it.each<[unknown, Value, boolean]>([
    [3, 3, true],
    [3, { $: "float", v: 3 }, true],
    [0.3, 0.1 + 0.2, true],
    [0.3, 0.3001, false],
    [1_000_000_001, 1_000_000_000, false],
    [1, true, false],
    ["1", 1, false],
    [[1, 2], { $: "tuple", v: [1, 2] }, true],
    [[1, 2], { $: "set", v: [2, 1] }, true],
    [[1, 1], { $: "set", v: [1, 2] }, false],
    [[1, 2], [2, 1], false],
    [{ a: 1 }, { $: "map", v: [["a", 1]] }, true],
    [{ 1: "x" }, { $: "map", v: [[1, "x"]] }, true],
    [
      { a: 1 },
      {
        $: "map",
        v: [
          ["a", 1],
          ["b", 2],
        ],
      },
      false,
    ],
    [null, null, true],
    [null, { $: "undefined" }, true],
    [null, false, false],
    [0, null, false],
    [1, { $: "number", v: "NaN" }, false],
    [2 ** 70, { $: "integer", v: String(2n ** 70n) }, true],
    [1, { $: "other", v: "Any" }, false],
    [[], { $: "map", v: [] }, false],
  ])("%j against %j: %s", (expected, got, same) => {
    expect(sameValue(expected, got)).toBe(same);
  });
  it("are read only in their own form", () => {
    for (const text of [
      "{",
      "{}",
      `{"$":"map"}`,
      `{"$":"map","v":[1]}`,
      `{"$":"float","v":"x"}`,
      `{"$":"evil","v":1}`,
      "[".repeat(9000) + "]".repeat(9000),
    ])
      expect(readValue(text)).toBeUndefined();
    expect(readValue(`[1,{"$":"tuple","v":[null]}]`)).toEqual([1, { $: "tuple", v: [null] }]);
  });
  it("compare outputs by lines", () => {
    expect(sameOutput("1 2\n3\n", "1 2  \r\n3\n\n")).toBe(true);
    expect(sameOutput("1 2", "1  2")).toBe(false);
    expect(sameOutput("", "")).toBe(true);
  });
});

describe("tests", () => {
  it("are read from every form", () => {
    expect(
      readTests([
        "assert f(1) == 2",
        { assert: "x", inside: true },
        { input: "1", output: "2" },
        { stdout: "3" },
        { call: "f", args: [1], returns: 2 },
      ]),
    ).toEqual([
      { kind: "assert", code: "assert f(1) == 2", inside: false },
      { kind: "assert", code: "x", inside: true },
      { kind: "output", stdin: "1", stdout: "2" },
      { kind: "output", stdin: "", stdout: "3" },
      { kind: "call", name: "f", args: [1], returns: 2 },
    ]);
    expect(readTests(`{"inputs": ["1\\n", ["2", "3"]], "outputs": ["a", 4]}`)).toEqual([
      { kind: "output", stdin: "1\n", stdout: "a" },
      { kind: "output", stdin: "2\n3", stdout: "4" },
    ]);
    expect(readTests({ inputs: [[1, 2]], outputs: [3], fn_name: "add" })).toEqual([
      { kind: "call", name: "add", args: [1, 2], returns: 3 },
    ]);
    expect(readTests("assert f() == [1]")).toEqual([{ kind: "assert", code: "assert f() == [1]", inside: false }]);
  });
  it.each([[[]], [{}], [{ inputs: [1], outputs: [] }], [7], [null], [[{ call: 1 }]]])("are refused when they are %j", (column) => {
    expect(() => readTests(column)).toThrow(/tests are not understood/);
  });
});

describe("rows of queries", () => {
  it.each([
    [[[1, "x"]], [["x", 1]], {}, true],
    [[[1, "x"]], [["x", 1]], { anyColumnOrder: false }, false],
    [[[1], [2]], [[2], [1]], {}, true],
    [[[1], [2]], [[2], [1]], { ordered: true }, false],
    [[[1], [1], [2]], [[1], [2], [2]], {}, false],
    [
      [
        [1, 2],
        [2, 1],
      ],
      [
        [1, 1],
        [2, 2],
      ],
      {},
      false,
    ],
    [
      [
        [1, 2],
        [3, 4],
      ],
      [
        [2, 1],
        [4, 3],
      ],
      { ordered: true },
      true,
    ],
    [[[0.1 + 0.2]], [[0.3]], {}, true],
    [[[1]], [["1"]], {}, false],
    [[[true, null]], [[null, 1]], {}, true],
    [[[1]], [[1, 1]], {}, false],
    [[], [], {}, true],
  ] as const)("%j and %j with %j: %s", (a, b, options, same) => {
    expect(sameRows(a, b, options)).toBe(same);
  });
  it("stay cheap when all columns are alike", () => {
    const row = Array.from({ length: 30 }, () => 1);
    const start = performance.now();
    expect(sameRows([row, row.with(0, 2)], [row, row.with(29, 2)])).toBe(true);
    // One column has no like, which no order of the others mends.
    expect(sameRows([[...row, 2]], [[...row, 3]])).toBe(false);
    expect(performance.now() - start).toBeLessThan(1000);
  });
  it("know an ordered query and count statements", () => {
    expect(isOrdered("SELECT a FROM t ORDER  BY a")).toBe(true);
    expect(isOrdered("SELECT a FROM (SELECT a FROM t ORDER BY a)")).toBe(false);
    expect(isOrdered("SELECT rank() OVER (ORDER BY a) FROM t -- ORDER BY a")).toBe(false);
    expect(isOrdered("SELECT 'ORDER BY' FROM t")).toBe(false);
    expect(
      [";", "SELECT 1;", "SELECT ';'; -- x;", "SELECT 1; SELECT 2", "", "SELECT $$;$$", "SELECT $a$;$b$;$a$"].map(statementCount),
    ).toEqual([0, 1, 1, 2, 0, 1, 1]);
  });
});
