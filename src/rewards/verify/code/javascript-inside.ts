/**
 * What is evaluated inside QuickJS before a program: source text of function expressions. They take what they use out of the globals at
 * once, so a program that replaces those changes at most its own results, and only for itself: each program has a runtime of its own.
 */

/** `() => ({ encode, encodeStrictly, decode, call, update })`: values to the JSON of values.ts and back. */
export const codec = String.raw`(() => {
  const { stringify, parse } = JSON;
  const { isArray } = Array;
  const { keys, getPrototypeOf, create } = Object;
  const objectPrototype = Object.prototype;
  const { isFinite: finite, isSafeInteger } = Number;
  const text = String, big = BigInt, MapOf = Map, SetOf = Set, DateOf = Date;
  const from = Array.from;
  const encode = (value, depth, strict) => {
    if (depth > 400) return { $: "other", v: "a value nested too deeply" };
    if (value === null || typeof value === "boolean" || typeof value === "string") return value;
    if (typeof value === "number") return finite(value) ? value : { $: "number", v: text(value) };
    if (typeof value === "undefined") return { $: "undefined" };
    if (typeof value === "bigint") return { $: "integer", v: text(value) };
    if (typeof value !== "object") return { $: "other", v: typeof value };
    const inner = (item) => encode(item, depth + 1, strict);
    if (isArray(value)) {
      const items = [];
      for (let i = 0; i < value.length; i++) items[i] = inner(value[i]);
      return items;
    }
    if (value instanceof SetOf) return { $: "set", v: from(value, inner) };
    if (value instanceof MapOf) return { $: "entries", v: from(value, ([key, item]) => [inner(key), inner(item)]) };
    const under = getPrototypeOf(value);
    // Whoever works on with a value needs it as it was; to be compared with JSON it may lose its class.
    if (strict && under !== null && under !== objectPrototype) return { $: "other", v: "an object of a class" };
    if (value instanceof DateOf) return value.toISOString();
    if (typeof value.length === "number" && typeof value.BYTES_PER_ELEMENT === "number") return from(value);
    if (typeof value.then === "function") return { $: "other", v: "a promise" };
    return { $: "map", v: keys(value).map((key) => [key, inner(value[key])]) };
  };
  const decode = (value) => {
    if (value === null || typeof value !== "object") return value;
    if (isArray(value)) return value.map(decode);
    switch (value.$) {
      case "undefined": return undefined;
      case "float": return value.v;
      case "number": return value.v === "NaN" ? NaN : value.v === "Infinity" ? Infinity : -Infinity;
      case "integer": return big(value.v);
      case "tuple": return value.v.map(decode);
      case "set": return new SetOf(value.v.map(decode));
      case "entries": return new MapOf(value.v.map(([key, item]) => [decode(key), decode(item)]));
      case "map": {
        const object = {};
        for (const [key, item] of value.v) object[key] = decode(item);
        return object;
      }
    }
    throw new TypeError("it is no plain data (" + value.v + ")");
  };
  const update = (before, now) => {
    if (isArray(before) && isArray(now)) { before.length = 0; for (const item of now) before.push(item); }
    else if (before instanceof SetOf && now instanceof SetOf) { before.clear(); for (const item of now) before.add(item); }
    else if (before instanceof MapOf && now instanceof MapOf) { before.clear(); for (const [key, item] of now) before.set(key, item); }
    else if (typeof before === "object" && before !== null && typeof now === "object" && now !== null && !isArray(now)) {
      for (const key of keys(before)) delete before[key];
      for (const key of keys(now)) before[key] = now[key];
    }
  };
  return {
    encode: (value) => stringify(encode(value, 0, false)),
    encodeStrictly: (value) => stringify(encode(value, 0, true)),
    decode: (json) => decode(parse(json)),
    /** Calls with arguments in plain JSON, or in the JSON of values; gives the arguments back, which the function may have changed. */
    call: (f, json, encoded) => {
      const args = encoded ? decode(parse(json)) : parse(json);
      return { args, value: f(...args) };
    },
    /** Brings what a function did to its arguments in another runtime to the ones in this. */
    update: (json, ...args) => decode(parse(json)).forEach((now, i) => update(args[i], now)),
  };
})()`;

/** `(write, read) => void`: console, print, readline, process, require("fs") and timers, as far as programs that read and write text use them. */
export const surroundings = String.raw`((write, read) => {
  const { stringify } = JSON;
  const inspect = (value, depth = 0, seen = []) => {
    if (typeof value === "string") return depth === 0 ? value : "'" + value + "'";
    if (typeof value === "bigint") return value + "n";
    if (typeof value === "symbol") return value.toString();
    if (typeof value === "function") return value.name ? "[Function: " + value.name + "]" : "[Function (anonymous)]";
    if (Object.is(value, -0)) return "-0";
    if (value === null || typeof value !== "object") return String(value);
    if (value instanceof Error) return value.stack ? String(value) : String(value);
    if (value instanceof Date) return value.toISOString();
    if (value instanceof RegExp) return String(value);
    if (seen.includes(value)) return "[Circular *1]";
    const inner = [...seen, value];
    const show = (item) => inspect(item, depth + 1, inner);
    if (Array.isArray(value)) return depth > 2 && value.length ? "[Array]" : value.length ? "[ " + value.map(show).join(", ") + " ]" : "[]";
    if (value instanceof Set) return "Set(" + value.size + ") {" + (value.size ? " " + [...value].map(show).join(", ") + " " : "") + "}";
    if (value instanceof Map) return "Map(" + value.size + ") {" + (value.size ? " " + [...value].map(([k, v]) => show(k) + " => " + show(v)).join(", ") + " " : "") + "}";
    const name = value.constructor && value.constructor !== Object && value.constructor.name ? value.constructor.name + " " : "";
    if (depth > 2) return "[" + (name.trim() || "Object") + "]";
    const keys = Object.keys(value);
    return name + (keys.length ? "{ " + keys.map((key) => (/^[A-Za-z_$][\w$]*$/.test(key) ? key : stringify(key)) + ": " + show(value[key])).join(", ") + " }" : "{}");
  };
  const format = (items) => {
    if (typeof items[0] === "string" && items.length > 1 && /%[sdifjoOc%]/.test(items[0])) {
      const rest = items.slice(1);
      const first = items[0].replace(/%([sdifjoOc%])/g, (all, kind) => {
        if (kind === "%") return "%";
        if (!rest.length) return all;
        const item = rest.shift();
        if (kind === "d") return String(Number(item));
        if (kind === "i") return String(parseInt(item));
        if (kind === "f") return String(parseFloat(item));
        if (kind === "j") return stringify(item);
        if (kind === "c") return "";
        return kind === "s" ? (typeof item === "string" ? item : inspect(item, 1)) : inspect(item, 1);
      });
      items = [first, ...rest];
    }
    return items.map((item) => inspect(item)).join(" ");
  };
  const line = (...items) => write(format(items) + "\n");
  const silent = () => {};
  globalThis.console = { log: line, info: line, debug: line, dir: line, error: silent, warn: silent, trace: silent, assert: silent, time: silent, timeEnd: silent, table: line };
  globalThis.print = line;
  let input = null, at = 0;
  const whole = () => (input ??= read());
  const nextLine = () => {
    const text = whole();
    if (at >= text.length) return null;
    const end = text.indexOf("\n", at);
    const found = text.slice(at, end < 0 ? text.length : end);
    at = end < 0 ? text.length : end + 1;
    return found.endsWith("\r") ? found.slice(0, -1) : found;
  };
  const rest = () => { const text = whole().slice(at); at = input.length; return text; };
  globalThis.readline = nextLine;
  globalThis.prompt = nextLine;
  const tasks = [];
  let clock = 0, ids = 0;
  globalThis.setTimeout = (f, wait = 0, ...args) => { tasks.push({ id: ++ids, due: clock + Math.max(0, +wait || 0), run: () => f(...args) }); return ids; };
  globalThis.setImmediate = (f, ...args) => setTimeout(f, 0, ...args);
  globalThis.clearTimeout = globalThis.clearInterval = (id) => { const i = tasks.findIndex((task) => task.id === id); if (i >= 0) tasks.splice(i, 1); };
  globalThis.setInterval = (f, wait = 1, ...args) => { const id = ++ids; const again = () => { f(...args); tasks.push({ id, due: clock + Math.max(1, +wait || 1), run: again }); }; tasks.push({ id, due: clock + Math.max(1, +wait || 1), run: again }); return id; };
  const emitter = () => {
    const heard = {};
    return { on(event, f) { (heard[event] ??= []).push(f); return this; }, once(event, f) { return this.on(event, f); }, emit(event, ...args) { for (const f of heard[event] ?? []) f(...args); return this; } };
  };
  const stdin = Object.assign(emitter(), {
    fd: 0, isTTY: false, setEncoding() { return this; }, resume() { return this; }, pause() { return this; }, read: () => rest() || null,
    async *[Symbol.asyncIterator]() { yield rest(); },
  });
  const listen = stdin.on;
  let flowing = false;
  stdin.on = function (event, f) {
    listen.call(stdin, event, f);
    if (!flowing && (event === "data" || event === "end" || event === "readable")) {
      flowing = true;
      setTimeout(() => { stdin.emit("readable"); const text = rest(); if (text) stdin.emit("data", text); stdin.emit("end"); stdin.emit("close"); });
    }
    return stdin;
  };
  class Exit { }
  const shims = {
    fs: { readFileSync(path, how) { if (path !== 0 && path !== "/dev/stdin" && path !== "/dev/fd/0") throw new Error("ENOENT: there are no files here"); const text = rest(); return how ? text : { toString: () => text, split: (...a) => text.split(...a), trim: () => text.trim() }; }, writeSync(fd, text) { if (fd === 1) write(String(text)); }, writeFileSync(path, text) { if (path === 1 || path === "/dev/stdout") write(String(text)); else throw new Error("EACCES: there are no files here"); } },
    readline: { createInterface: () => { const rl = emitter(); const on = rl.on; let begun = false;
      const begin = () => { if (begun) return; begun = true; setTimeout(() => { for (let l; (l = nextLine()) !== null; ) rl.emit("line", l); rl.emit("close"); }); };
      rl.on = (event, f) => { on.call(rl, event, f); if (event === "line" || event === "close") begin(); return rl; };
      rl.question = (text, f) => { write(text); setTimeout(() => f(nextLine() ?? "")); }; rl.close = () => { at = whole().length; }; rl.setPrompt = rl.prompt = () => {};
      rl[Symbol.asyncIterator] = async function* () { for (let l; (l = nextLine()) !== null; ) yield l; }; return rl; } },
    process: { stdin, stdout: { write(text) { write(String(text)); return true; } }, stderr: { write: () => true }, argv: ["node", "main.js"], env: {}, platform: "linux", exit() { throw new Exit(); }, on() { return this; }, nextTick: (f, ...args) => Promise.resolve().then(() => f(...args)), hrtime: Object.assign(() => [0, 0], { bigint: () => 0n }), memoryUsage: () => ({ heapUsed: 0 }), cwd: () => "/", uptime: () => 0 },
    util: { inspect: (value) => inspect(value, 1), format: (...items) => format(items) },
    os: { EOL: "\n" },
  };
  globalThis.process = shims.process;
  globalThis.module = { exports: {} };
  globalThis.exports = module.exports;
  globalThis.require = (name) => { const found = shims[String(name).replace(/^node:/, "")]; if (!found) throw new Error("Cannot find module '" + name + "': there are no modules here"); return found; };
  return {
    /** Runs the timer that is due first; false when there is none. */
    turn: () => { if (!tasks.length) return false; let first = 0; tasks.forEach((task, i) => { if (task.due < tasks[first].due) first = i; }); const [task] = tasks.splice(first, 1); clock = task.due; task.run(); return true; },
    exited: (error) => error instanceof Exit,
  };
})`;

/** In the place of `surroundings` for programs that name none of them. */
export const bare = "(() => ({ turn: () => false, exited: () => false }))";

/** `() => ({ assert, expect, ... })`: what assertions are written with, as in Node and Jest. */
export const assertions = String.raw`(() => {
  const { is, keys } = Object;
  class AssertionError extends Error { get name() { return "AssertionError"; } }
  const show = (value) => { try { return (typeof value === "string" ? JSON.stringify(value) : typeof value === "object" && value !== null ? JSON.stringify(value) : String(value)).slice(0, 80); } catch { return "a value"; } };
  const fail = (message) => { throw new AssertionError(message); };
  const check = (holds, message, standard) => { if (!holds) { if (message instanceof Error) throw message; fail(message ?? standard); } };
  const deep = (a, b, strict) => {
    if (strict ? is(a, b) : a == b || (a !== a && b !== b)) return true;
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
    if (Array.isArray(a) !== Array.isArray(b)) return false;
    if (a instanceof Date || b instanceof Date) return a instanceof Date && b instanceof Date && +a === +b;
    if (a instanceof Set || b instanceof Set) return a instanceof Set && b instanceof Set && a.size === b.size && [...a].every((x) => b.has(x) || [...b].some((y) => deep(x, y, strict)));
    if (a instanceof Map || b instanceof Map) return a instanceof Map && b instanceof Map && a.size === b.size && [...a].every(([k, x]) => b.has(k) && deep(x, b.get(k), strict));
    const left = keys(a), right = keys(b);
    return left.length === right.length && left.every((key) => Object.hasOwn(b, key) && deep(a[key], b[key], strict));
  };
  const throws = (f, expected) => { let error; try { f(); } catch (caught) { error = caught; } 
    if (error === undefined) fail("Missing expected exception");
    if (expected instanceof RegExp) check(expected.test(String(error)), undefined, "the exception does not match: " + show(String(error)));
    else if (typeof expected === "function" && expected.prototype instanceof Error || expected === Error) check(error instanceof expected || error.name === expected.name || expected === Error, undefined, "another exception was thrown: " + show(String(error))); };
  const assert = (value, message) => check(value, message, "the value is falsy: " + show(value));
  Object.assign(assert, {
    ok: assert, fail: (message) => fail(message ?? "failed"),
    equal: (a, b, m) => check(a == b || (a !== a && b !== b), m, show(a) + " == " + show(b)),
    notEqual: (a, b, m) => check(a != b, m, show(a) + " != " + show(b)),
    strictEqual: (a, b, m) => check(is(a, b), m, show(a) + " === " + show(b)),
    notStrictEqual: (a, b, m) => check(!is(a, b), m, show(a) + " !== " + show(b)),
    deepEqual: (a, b, m) => check(deep(a, b, false), m, show(a) + " deep-equals " + show(b)),
    deepStrictEqual: (a, b, m) => check(deep(a, b, true), m, show(a) + " deep-equals " + show(b)),
    notDeepEqual: (a, b, m) => check(!deep(a, b, false), m, show(a) + " differs from " + show(b)),
    notDeepStrictEqual: (a, b, m) => check(!deep(a, b, true), m, show(a) + " differs from " + show(b)),
    match: (text, pattern, m) => check(pattern.test(text), m, show(text) + " matches " + pattern),
    throws, strict: assert, AssertionError,
    rejects: async (f) => { try { await (typeof f === "function" ? f() : f); } catch { return; } fail("Missing expected rejection"); },
  });
  const expect = (got) => {
    const matchers = (turn) => { const c = (holds, what) => check(turn ? !holds : holds, undefined, show(got) + (turn ? " not " : " ") + what); return {
      toBe: (x) => c(is(got, x), "to be " + show(x)), toEqual: (x) => c(deep(got, x, true), "to equal " + show(x)), toStrictEqual: (x) => c(deep(got, x, true), "to equal " + show(x)),
      toBeCloseTo: (x, d = 2) => c(Math.abs(got - x) < 10 ** -d / 2, "to be close to " + show(x)), toBeNull: () => c(got === null, "to be null"), toBeUndefined: () => c(got === undefined, "to be undefined"),
      toBeDefined: () => c(got !== undefined, "to be defined"), toBeNaN: () => c(got !== got, "to be NaN"), toBeTruthy: () => c(!!got, "to be truthy"), toBeFalsy: () => c(!got, "to be falsy"),
      toBeGreaterThan: (x) => c(got > x, "> " + x), toBeGreaterThanOrEqual: (x) => c(got >= x, ">= " + x), toBeLessThan: (x) => c(got < x, "< " + x), toBeLessThanOrEqual: (x) => c(got <= x, "<= " + x),
      toContain: (x) => c(got.includes(x), "to contain " + show(x)), toContainEqual: (x) => c([...got].some((y) => deep(y, x, true)), "to contain " + show(x)), toHaveLength: (x) => c(got.length === x, "to have length " + x), toMatch: (x) => c(x instanceof RegExp ? x.test(got) : got.includes(x), "to match " + x),
      toThrow: (x) => { let threw = false; try { got(); } catch { threw = true; } c(threw, "to throw"); if (threw && x !== undefined && !turn) throws(got, typeof x === "string" ? new RegExp(x.replace(/[.*+?^$()|[\]{}\\]/g, "\\$&")) : x); },
    }; };
    return { ...matchers(false), not: matchers(true) };
  };
  const run = async (name, f) => { await f(); };
  return { assert, expect, test: run, it: run, describe: (name, f) => f(), isAssertion: (error) => error instanceof AssertionError };
})()`;
