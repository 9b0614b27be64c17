import { afterAll, describe, expect, it } from "vitest";
import { closeSandboxes, runTests } from "../../../src/rewards/index.ts";
import { ampleMs, hostile, type Hostile } from "./kit.ts";

const stopped: Hostile["ends"] = ["timeout", "memory", "crash", "error", "output"];
const programs: readonly Hostile[] = [
  { name: "an endless loop", program: "for (;;);", ends: ["timeout"] },
  {
    name: "an endless loop that catches everything",
    program: "for (;;) { try { for (;;); } catch {} finally { continue; } }",
    ends: ["timeout"],
  },
  { name: "an endless chain of promises", program: "const again = () => Promise.resolve().then(again); again();", ends: ["timeout"] },
  { name: "an endless chain of timers", program: "const again = () => setTimeout(again); again();", ends: ["timeout"] },
  { name: "a generator that never ends", program: "function* g() { for (;;) yield 1; } [...g()];", ends: ["timeout", "memory"] },
  {
    name: "an array that grows without end",
    program: "const a = []; for (;;) a.push(new Array(1000).fill(a.length));",
    ends: ["memory", "timeout"],
  },
  { name: "a string that doubles without end", program: "let s = 'a'; for (;;) s += s;", ends: ["error", "memory"] },
  { name: "a huge typed array", program: "new Uint8Array(2 ** 31 - 1).fill(1);", ends: ["error", "memory"] },
  {
    name: "a huge buffer that is caught and tried again",
    program: "for (;;) { try { new ArrayBuffer(2 ** 30); } catch {} }",
    ends: ["timeout"],
  },
  { name: "deep recursion", program: "(function f() { f(); })();", ends: ["error"] },
  { name: "deep recursion that catches itself", program: "function g() { try { g(); } catch { g(); } } g();", ends: stopped },
  {
    name: "deep recursion through a getter and a proxy",
    program: "const p = new Proxy({}, { get: (t, k, r) => r[k] }); p.x;",
    ends: stopped,
  },
  { name: "brackets nested a hundred thousand deep", program: `eval("[".repeat(100000));`, ends: ["crash", "error"] },
  { name: "JSON nested a hundred thousand deep", program: `JSON.parse("[".repeat(100000));`, ends: ["crash", "error"] },
  { name: "a catastrophic regular expression", program: `/^(a+)+$/.test("a".repeat(60) + "b");`, ends: ["timeout"] },
  { name: "a regular expression with many captures", program: `new RegExp("(".repeat(50000) + ")".repeat(50000));`, ends: stopped },
  { name: "a huge BigInt power", program: "(3n ** 100000000n).toString().length;", ends: stopped },
  {
    name: "sorting with a comparison that lies",
    program: "Array.from({ length: 3e6 }, (_, i) => -i).sort(() => Math.random() - 0.5);",
    ends: stopped,
  },
  { name: "joining a string that is far too long", program: `new Array(2 ** 28).join("aaaaaaaa");`, ends: stopped },
  { name: "endless output", program: `for (;;) console.log("x".repeat(10000));`, ends: ["output"] },
  { name: "endless output that is caught", program: `for (;;) { try { print("x".repeat(10000)); } catch {} }`, ends: ["output"] },
  {
    name: "the host's process",
    program: `const p = console.log.constructor("return process")(); console.log(p.pid, p.binding, p.mainModule.require("fs"));`,
    ends: ["error"],
  },
  { name: "the host's modules", program: `require("child_process").execSync("id");`, ends: ["error"] },
  { name: "a dynamic import", program: `await import("node:fs");`, ends: ["error"] },
  {
    name: "a static import",
    program: `import { readFileSync } from "node:fs"; console.log(readFileSync("/etc/passwd"));`,
    ends: ["error"],
  },
  { name: "a file of the machine", program: `console.log(require("fs").readFileSync("/etc/passwd", "utf8"));`, ends: ["error"] },
  { name: "the network", program: `fetch("http://127.0.0.1/");`, ends: ["error"] },
  { name: "a worker of its own", program: `new Worker("data:text/javascript,for(;;);");`, ends: ["error"] },
  { name: "quickjs's own std and os", program: `std.exit(0); os.exec(["id"]);`, ends: ["error"] },
  {
    name: "prototypes",
    program: `Object.prototype.stdout = Object.prototype.passed = "the secret answer is 42"; Array.prototype.push = () => 42; String.prototype.split = () => [42]; JSON.parse = () => 42; console.log = () => {};`,
    ends: ["wrong"],
  },
  {
    name: "the harness's text and its globals",
    program: `console.log(JSON.stringify(Object.getOwnPropertyNames(globalThis)), new Error().stack, Function.prototype.toString.call(console.log), arguments);`,
    ends: ["wrong", "error"],
  },
  {
    name: "the tests, wherever they may be",
    program: `const seen = new Set(); const look = (o, d) => { if (d > 4 || (typeof o !== "object" && typeof o !== "function") || o === null || seen.has(o)) return; seen.add(o); for (const k of Reflect.ownKeys(o)) { let v; try { v = o[k]; } catch { continue; } if (typeof v === "string" && v.includes("secret")) console.log(v); look(v, d + 1); } }; look(globalThis, 0);`,
    ends: ["wrong"],
  },
  { name: "an exit that claims success", program: "process.exit(0);", ends: ["wrong"] },
  {
    name: "throwing an object that lies about itself",
    program: `throw { get name() { for (;;); }, get message() { for (;;); }, toString() { for (;;); } };`,
    ends: ["error", "timeout"],
  },
];

describe("JavaScript that means harm", () => {
  hostile(programs, { language: "javascript", timeoutMs: 1000, memoryMiB: 32 }, "console.log(Number(readline()) * 2)", 2000);
  afterAll(() => closeSandboxes());

  it("cannot read or answer hidden assertions", async () => {
    const program = `const heard = [];
      Object.setPrototypeOf(globalThis, new Proxy(Object.prototype, { has(target, key) { heard.push(String(key)); return key in target; } }));
      function add(a, b) { return heard.some((word) => /secretly|seven/.test(word)) || /secretly/.test(new Error().stack + add.caller) ? 7 : 0; }`;
    const [result] = await runTests(
      program,
      [{ kind: "assert", code: `const secretly = "seven"; assert.strictEqual(add(3, 4), 7, secretly);`, inside: false }],
      {
        language: "javascript",
        timeoutMs: ampleMs,
      },
    );
    expect(result).toMatchObject({ passed: false, why: "wrong" });
  });

  it.each([
    [
      "a value that equals everything",
      "function add() { return { valueOf: () => 7, toString: () => '7', toJSON: () => 7, [Symbol.toPrimitive]: () => 7 }; }",
    ],
    ["a value that pretends to be encoded", `function add() { return { $: "map", v: [] }; }`],
    ["assertions that it replaces", "globalThis.assert = { strictEqual() {} }; function add() { return 0; }"],
    ["Object.is that it replaces", "Object.is = () => true; function add() { return 0; }"],
    ["an exception that looks like an answer", "function add() { throw 7; }"],
  ])("is not taken in by %s", async (_, program) => {
    const results = await runTests(
      program,
      [
        { kind: "assert", code: "assert.strictEqual(add(3, 4), 7)", inside: false },
        { kind: "call", name: "add", args: [3, 4], returns: 7 },
      ],
      { language: "javascript", timeoutMs: ampleMs },
    );
    expect(results.map(({ passed }) => passed)).toEqual([false, false]);
  });
});
