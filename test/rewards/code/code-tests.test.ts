import { afterAll, describe, expect, it } from "vitest";
import { closeSandboxes, codeTests, runTests, score, sqlResult, type CodeLanguage, type CodeTest } from "../../../src/rewards/index.ts";
import { timed, withEnough } from "../../kit/crowding.ts";
import { ampleMs } from "./kit.ts";

afterAll(() => closeSandboxes());

const call = (name: string, args: unknown[], returns: unknown): CodeTest => ({ kind: "call", name, args, returns });
const output = (stdin: string, stdout: string): CodeTest => ({ kind: "output", stdin, stdout });
const assert = (code: string, inside = false): CodeTest => ({ kind: "assert", code, inside });

describe.each<[CodeLanguage, string, readonly CodeTest[]]>([
  [
    "javascript",
    "function add(a, b) { return a + b; }",
    [call("add", [1, 2], 3), call("add", ["a", "b"], "ab"), assert("assert.equal(add(2, 2), 4); expect(add(1, 1)).toBe(2)")],
  ],
  [
    "javascript",
    "const add = async (a, b) => { await null; return a + b; };",
    [call("add", [1, 2], 3), assert("assert.equal(await add(2, 2), 4)")],
  ],
  ["javascript", "module.exports = { add: (a, b) => a + b }", [call("add", [1, 2], 3)]],
  [
    "javascript",
    "export const add = (a, b) => a + b;\nexport default add;",
    [call("add", [1, 2], 3), assert("assert.deepEqual([add(1, 2)], [3])")],
  ],
  [
    "javascript",
    "const f = (x) => { if (x < 0) throw new RangeError('negative'); return { x, list: [x] }; };",
    [
      call("f", [1], { x: 1, list: [1] }),
      assert("assert.throws(() => f(-1), /negative/)"),
      assert("assert.deepStrictEqual(f(2), { x: 2, list: [2] })"),
    ],
  ],
  [
    "javascript",
    "class Stack { #a = []; push(x) { this.#a.push(x); } pop() { return this.#a.pop(); } }",
    [assert("const s = new Stack(); s.push(3); assert.equal(s.pop(), 3)", true)],
  ],
  ["javascript", "const n = Number(readline()); for (let i = 0; i < n; i++) print(i);", [output("2\n", "0\n1"), output("0\n", "")]],
  [
    "javascript",
    "require('fs').readFileSync(0, 'utf8').trim().split('\\n').forEach((l) => console.log(l.length, [l], { l }));",
    [output("ab\n", "2 [ 'ab' ] { l: 'ab' }")],
  ],
  [
    "javascript",
    "const rl = require('readline').createInterface({ input: process.stdin }); let s = 0; rl.on('line', (l) => (s += +l)); rl.on('close', () => { console.log(s); process.exit(0); });",
    [output("1\n2\n3", "6")],
  ],
  [
    "javascript",
    "let s = ''; process.stdin.on('data', (d) => (s += d)); process.stdin.on('end', () => process.stdout.write(s.toUpperCase()));",
    [output("abc", "ABC")],
  ],
  [
    "javascript",
    "setTimeout(() => console.log(2), 10); setTimeout(() => console.log(1), 5); await Promise.resolve(); console.log(0);",
    [output("", "0\n1\n2")],
  ],
  ["typescript", "interface P { x: number }\nconst f = <T extends P>(p: T): number => p.x as number;", [call("f", [{ x: 4 }], 4)]],
  [
    "python",
    "def add(a: int, b: int) -> int:\n    return a + b",
    [
      call("add", [1, 2], 3),
      assert("assert add(2, 2) == 4"),
      assert("for a, b, c in [(1, 1, 2), (2, 3, 5)]:\n    assert add(a, b) == c, 'sum'"),
    ],
  ],
  ["python", "class Solution:\n    def twoSum(self, nums, target):\n        return [0, 1]", [call("twoSum", [[2, 7], 9], [0, 1])]],
  [
    "python",
    "def f(x):\n    if x < 0: raise ValueError('negative')\n    return (x, {x}, {'k': [x / 2]})",
    [
      call("f", [1], [1, [1], { k: [0.5] }]),
      assert("try:\n    f(-1)\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'negative'"),
      assert("assert f(2) == (2, {2}, {'k': [1.0]}) and isinstance(f(2), tuple)"),
    ],
  ],
  ["python", "def sort(a):\n    a.sort()", [assert("x = [3, 1, 2]\nsort(x)\nassert x == [1, 2, 3]")]],
  [
    "python",
    "def truncate(x):\n    return x - int(x)",
    [
      assert(
        "METADATA = {'author': 'x'}\ndef check(candidate):\n    assert candidate(3.5) == 0.5\n    assert abs(candidate(1.33) - 0.33) < 1e-6\n",
      ),
    ],
  ],
  [
    "python",
    "class Stack:\n    def __init__(self): self.a = []\n    def push(self, x): self.a.append(x)\n    def pop(self): return self.a.pop()",
    [assert("s = Stack(); s.push(3); assert s.pop() == 3", true)],
  ],
  ["python", "n = int(input())\nfor i in range(n): print(i, end=' ')", [output("3\n", "0 1 2"), output("0\n", "")]],
  [
    "python",
    "import sys\ndef main():\n    print(sum(map(int, sys.stdin.read().split())))\nif __name__ == '__main__':\n    main()",
    [output("1 2\n3", "6")],
  ],
  [
    "python",
    "import sys, heapq, dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\nprint(P(int(sys.stdin.buffer.readline())), sys.stdin.readline())\nsys.exit(0)",
    [output("7\nrest", "P(x=7) rest")],
  ],
  ["python", "print('é', input())", [output("日本", "é 日本")]],
  ["python", "import time\nbefore = time.monotonic()\ntime.sleep(0.02)\nprint(time.monotonic() - before >= 0.02)", [output("", "True")]],
  [
    "python",
    "import asyncio\nasync def wait(n):\n  await asyncio.sleep(n / 100)\n  return n\nasync def main(): print(await asyncio.gather(wait(2), wait(1)))\nasyncio.run(main())",
    [output("", "[2, 1]")],
  ],
])("%s: %s", (language, program, tests) => {
  it("passes its tests", async () => {
    const results = await runTests(program, tests, { language, timeoutMs: ampleMs });
    expect(results).toEqual(tests.map(() => ({ passed: true })));
  });
});

describe("assertions judged from outside", () => {
  const run = async (language: CodeLanguage, program: string, code: string): Promise<string> => {
    const [result] = await runTests(program, [{ kind: "assert", code, inside: false }], { language, timeoutMs: ampleMs });
    return result!.why ?? "passed";
  };
  it.each<[CodeLanguage, string, string, string]>([
    ["javascript", "const f = (o) => o.x + o.list.length", "assert.equal(f({ x: 1, list: [2, 3] }), 3)", "passed"],
    [
      "javascript",
      "function sort(a, o) { a.sort(); o.done = true; }",
      "const a = [3, 1]; const o = {}; sort(a, o); assert.deepEqual([a, o], [[1, 3], { done: true }])",
      "passed",
    ],
    [
      "javascript",
      "const f = (m) => new Map([...m].map(([k, v]) => [v, k]))",
      "assert.deepEqual(f(new Map([[1, 'a']])), new Map([['a', 1]]))",
      "passed",
    ],
    [
      "javascript",
      "const f = () => [undefined, NaN, 10n, new Set([1])]",
      "const [a, b, c, d] = f(); assert.ok(a === undefined && b !== b && c === 10n && d.has(1))",
      "passed",
    ],
    ["javascript", "const limit = [7]; const f = (x) => x < limit[0];", "assert.ok(f(limit[0] - 1)); assert.ok(!f(limit[0]))", "passed"],
    ["javascript", "const f = (g) => g(1)", "assert.equal(f((x) => x + 1), 2)", "no-plain-data"],
    ["javascript", "class Stack { pop() { return 1; } }", "assert.equal(new Stack().pop(), 1)", "no-plain-data"],
    ["javascript", "class Stack { pop() { return 1; } } const make = () => new Stack();", "assert.equal(make().pop(), 1)", "error"],
    ["javascript", "const f = () => 1", "assert.equal(g(), 1)", "error"],
    ["python", "def f(o): return o['x'] + len(o['list']) + len(o[1])", "assert f({'x': 1, 'list': [2, 3], 1: (1, 2)}) == 5", "passed"],
    ["python", "def f(a, b=1, *, c=2): return (a, b, c)", "assert f(1, c=5) == (1, 1, 5)", "passed"],
    ["python", "LIMIT = 7\ndef f(x): return x < LIMIT", "assert f(LIMIT - 1) and not f(LIMIT)", "passed"],
    ["python", "import collections\ndef f(x): return collections.Counter(x)", "assert f('aab') == {'a': 2, 'b': 1}", "passed"],
    ["python", "n = 0\ndef f():\n    global n\n    n += 1\n    return n", "assert [f(), f(), f()] == [1, 2, 3]", "passed"],
    ["python", "def f(g): return g(1)", "assert f(lambda x: x + 1) == 2", "no-plain-data"],
    ["python", "class Stack:\n    def pop(self): return 1", "assert Stack().pop() == 1", "no-plain-data"],
    ["python", "class E(Exception): pass\ndef f(): raise E", "try:\n    f()\nexcept E: pass", "no-plain-data"],
    ["python", "def f():\n    yield 1", "assert next(f()) == 1", "error"],
    ["python", "def f(): return 1", "assert g() == 1", "error"],
  ])("%s: %s: %s: %s", async (language, program, code, ends) => {
    expect(await run(language, program, code)).toBe(ends);
  });
});

describe("codeTests", () => {
  const tests = [{ call: "f", args: [1], returns: 2 }, { call: "f", args: [2], returns: 5 }, "assert f(3) == 6"];
  const completion = "Sure:\n```python\ndef f(x):\n    return 2 * x\n```";
  it("gives all or nothing, or the share of passed tests, with parts and a note", async () => {
    const row = { prompt: "", completion, tests };
    const parts = { "test 1": 1, "test 2": 0, "test 3": 1 };
    const note = "2 of 3 tests passed; test 2: the answer is wrong";
    expect(await score(codeTests({ language: "python", timeoutMs: ampleMs }), row)).toEqual({ value: 0, parts, note });
    expect(await score(codeTests({ language: "python", timeoutMs: ampleMs, credit: "share" }), row)).toEqual({ value: 2 / 3, parts, note });
    expect(await score(codeTests({ language: "python", timeoutMs: ampleMs }), { ...row, tests: tests.toSpliced(1, 1) })).toEqual({
      value: 1,
      parts: { "test 1": 1, "test 2": 1 },
    });
  });

  it("tells the answer's faults (0) from ours (null)", async () => {
    const row = { prompt: "", completion: "const f = (x) => 2 * x", tests: [{ call: "f", args: [1], returns: 2 }] };
    const scores = await score(codeTests({ language: "javascript", timeoutMs: ampleMs }), [
      row,
      { ...row, completion: "```bash\nls\n```" },
      { ...row, completion: "const f = (x) =>" },
      { ...row, completion: "const f = () => () => 1" },
      { ...row, tests: [] },
      { ...row, completion: "class S {}", tests: ["assert.ok(new S())"] },
      { ...row, completion: "class S {}", tests: [{ assert: "assert.ok(new S())", inside: true }] },
    ]);
    expect(scores.map(({ value, error }) => error?.kind ?? value)).toEqual([1, 0, 0, 0, "wrong-column", "unparsable", 1]);
    const late = await score(codeTests({ language: "javascript", timeoutMs: 300 }), { ...row, completion: "for (;;);" });
    expect(late).toMatchObject({ value: 0, note: "0 of 1 tests passed; test 1: it was not done within 300 ms" });
  });

  it("keeps what was passed before the time was up", async () => {
    const program = "function f(x) { if (x === 2) for (;;); return x; }";
    const results = await withEnough([300, 3000, 30_000], async (timeoutMs) => {
      const made = await runTests(program, [call("f", [1], 1), call("f", [2], 2), call("f", [3], 3)], {
        language: "javascript",
        timeoutMs,
      });
      return made[0]!.why === "timeout" ? null : made;
    });
    expect(results?.map(({ passed, why }) => why ?? passed)).toEqual([true, "timeout", "timeout"]);
  });

  it("refuses options out of range", () => {
    expect(() => codeTests({ language: "ruby" as CodeLanguage })).toThrow(/language must be/);
    expect(() => codeTests({ language: "python", timeoutMs: 0 })).toThrow(/timeoutMs must be from 1/);
    expect(() => sqlResult({ dialect: "duckdb", database: "x.db" })).toThrow(/must be one of SQLite/);
  });
});

describe("warm sandboxes are fast enough to train on", () => {
  const rate = async (language: CodeLanguage, count: number, enough: number): Promise<number> => {
    const rewarded = codeTests({ language, timeoutMs: ampleMs });
    const rows = Array.from({ length: count }, (_, i) => ({
      prompt: "",
      completion: language === "python" ? `def f(x):\n    return x + ${i}` : `function f(x) { return x + ${i}; }`,
      tests: [{ call: "f", args: [1], returns: i + 1 }],
    }));
    let best = 0;
    // The first rounds start the sandboxes, and other tests may be at work beside this one: what they take is not counted.
    for (let i = 0; i < 10 && best <= enough; i++) {
      const { result: scores, took, crowd } = await timed(() => score(rewarded, rows));
      best = Math.max(best, (1000 * count * crowd) / took);
      expect(scores.every(({ value }) => value === 1)).toBe(true);
    }
    return best;
  };
  it("1,000 JavaScript programs a second, 10 Python programs a second", async () => {
    const rates = { javascript: await rate("javascript", 1000, 1000), python: await rate("python", 40, 10) };
    console.log(`programs a second: ${JSON.stringify(rates, (_, x: unknown) => (typeof x === "number" ? Math.round(x) : x))}`);
    expect(rates.javascript).toBeGreaterThan(1000);
    expect(rates.python).toBeGreaterThan(10);
  });
});
