/**
 * Runs Python programs in Pyodide, in a process that can be killed. Between two stages of a job, and between two jobs, the interpreter's whole
 * memory and its files are restored to what they were before the first program: no program finds what another one left.
 *
 * While a program runs, the interpreter is sealed: of the functions that it imports from JavaScript, only those that plain Python needs (its
 * own file system in memory, clocks, memory) do anything. All others, and with them every way to JavaScript objects, sockets and foreign
 * functions, end the program and the process.
 */
import { constants } from "node:fs";
import { Worker } from "node:worker_threads";
import { answerJobs } from "../peer.ts";
import { inside } from "./python-inside.ts";

type Use =
  | { kind: "output"; stdin: string }
  | { kind: "call"; name: string; args: readonly unknown[] }
  | { kind: "assert"; code: string; inside: boolean };
interface Job {
  readonly source: string;
  readonly uses: readonly Use[];
  readonly timeoutMs: number;
  readonly outputLimit: number;
}
type Used = { kind: string; message?: string; [more: string]: unknown };

/** What plain Python calls while it runs. Sockets are system calls too, and are left out. */
const allowed =
  /^(?:invoke_.*|__syscall_(?!(?:socket|connect|bind|listen|accept4|sendto|sendmsg|recvfrom|recvmsg|getsockname|getpeername|getsockopt|setsockopt)$).*|_(?:gm|local|mk|timegm|tzset)\w*_js|_timegm_js|_tzset_js|_m(?:map|unmap|sync)_js|_emscripten_throw_longjmp|_emscripten_get_progname|emscripten_(?:date_now|get_now|get_heap_max|resize_heap|runtime_keepalive_\w+)|_emscripten_runtime_keepalive_clear|_Py_CheckEmscriptenSignals_Helper|_PyEM_TrampolineCall_JS|_Py_emscripten_runtime|exit|__assert_fail|_abort_js|__cxa_\w+|llvm_eh_typeid_for|getTempRet0|setTempRet0|_try_fcntl64)$/;

class Forbidden extends Error {}
class TooMuchOutput extends Error {}

let sealed = false;
let reached = "";
let interpreter: Interpreter;

/** The parts of Pyodide's file system and module that saving and restoring needs. */
interface Node {
  contents?: Uint8Array | Record<string, Node>;
  [field: string]: unknown;
}
interface Stream {
  shared: object;
  [field: string]: unknown;
}
interface Files {
  root: Node;
  streams: (Stream | null)[];
  nameTable: (Node | null)[];
  nextInode: number;
  currentPath: string;
  readFile(path: string, options: { encoding: "utf8" }): string;
  writeFile(path: string, text: string): void;
}
interface Wasm {
  HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _PyRun_SimpleString(text: number): number;
  stackSave(): number;
  stackRestore(pointer: number): void;
}
interface Interpreter {
  readonly wasm: Wasm;
  readonly files: Files;
  readonly restore: () => void;
  readonly command: number;
}

const interrupt = new Int32Array(new SharedArrayBuffer(4));
/** When the present job is to be interrupted, in milliseconds, and whether there is one. */
const alarm = new Float64Array(new SharedArrayBuffer(8));
const armed = new Int32Array(new SharedArrayBuffer(4));
let input = new Uint8Array();
let inputAt = 0;
let output: string[] = [];
let outputLength = 0;
let outputLimit = 0;
let tooMuch = false;
const decoder = new TextDecoder();

answerJobs(
  work,
  async () => {
    interpreter = await start();
  },
  () => lost,
);

async function start(): Promise<Interpreter> {
  // Pyodide asks for constants in a way that Node's permissions refuse.
  Object.assign(process, { binding: () => ({ fs: constants }) });
  sealImports();
  const { loadPyodide } = await import("pyodide");
  const python = await loadPyodide({
    jsglobals: Object.create(null) as object,
    env: { HOME: "/home/pyodide", PYTHONHASHSEED: "0", _: "python" },
  });
  python.setInterruptBuffer(interrupt);
  python.setStdin({ read: readInput, isatty: false });
  python.setStdout({ write: writeOutput, isatty: false });
  python.setStderr({ write: (bytes: Uint8Array) => bytes.length, isatty: false });
  python.runPython(inside);
  const { _module: wasm, FS: files } = python as unknown as { _module: Wasm; FS: Files };
  const text = new TextEncoder().encode("_guerdon_main()\0");
  const command = wasm._malloc(text.length);
  wasm.HEAPU8.set(text, command);
  // A thread of its own, because this one is in the interpreter when the time is up.
  new Worker(
    `const { workerData: { interrupt, alarm, armed } } = require("node:worker_threads");
     for (;;) {
       Atomics.wait(armed, 0, 0);
       Atomics.wait(armed, 0, 1, 20);
       if (Atomics.load(armed, 0) === 1 && Date.now() > alarm[0]) Atomics.store(interrupt, 0, 2);
     }`,
    { eval: true, execArgv: [], workerData: { interrupt, alarm, armed } },
  ).unref();
  withoutTheWorld();
  const restore = saved(wasm, files);
  return { wasm, files, restore, command };
}

/** Wraps the functions that the interpreter imports, so that they can be refused. */
function sealImports(): void {
  const instantiate = WebAssembly.instantiate.bind(WebAssembly) as (
    module: WebAssembly.Module,
    imports: WebAssembly.Imports,
  ) => Promise<WebAssembly.Instance>;
  const wrapped = async (given: BufferSource | WebAssembly.Module, imports: Record<string, Record<string, unknown>> = {}) => {
    const module = given instanceof WebAssembly.Module ? given : await WebAssembly.compile(given);
    for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
      const own = imports[from]?.[name];
      if (from !== "env" || kind !== "function" || typeof own !== "function" || allowed.test(name)) continue;
      imports[from]![name] = (...args: unknown[]): unknown => {
        if (!sealed) return (own as (...args: unknown[]) => unknown)(...args);
        reached ||= name;
        throw new Forbidden(name);
      };
    }
    const instance = await instantiate(module, imports as WebAssembly.Imports);
    return given instanceof WebAssembly.Module ? instance : { module, instance };
  };
  Object.assign(WebAssembly, { instantiate: wrapped });
}

/** Takes from this process what JavaScript could use to reach out of it, should a program ever reach JavaScript. */
function withoutTheWorld(): void {
  for (const name of ["fetch", "WebSocket", "EventSource", "XMLHttpRequest", "Worker", "navigator", "require"])
    Reflect.deleteProperty(globalThis, name);
  for (const name of ["binding", "dlopen", "getBuiltinModule", "_linkedBinding", "chdir", "abort"]) Reflect.deleteProperty(process, name);
}

/** Saves the memory and the files; returns what restores both. */
function saved(wasm: Wasm, files: Files): () => void {
  const memory = wasm.HEAPU8.slice();
  const stack = wasm.stackSave();
  const nodes: { node: Node; fields: Node; contents: Node["contents"] }[] = [];
  const visit = (node: Node): void => {
    const { contents } = node;
    const folder = contents !== undefined && !(contents instanceof Uint8Array);
    nodes.push({
      node,
      fields: { ...node },
      contents: contents instanceof Uint8Array ? contents.slice() : folder ? { ...contents } : undefined,
    });
    if (folder) for (const child of Object.values(contents)) if (typeof child === "object" && child !== null) visit(child);
  };
  visit(files.root);
  // Closing a stream empties it, and its place in the file is kept apart from it.
  const streams = files.streams.map((stream) => stream && { stream, fields: { ...stream }, shared: { ...stream.shared } });
  const names = [...files.nameTable];
  const { nextInode, currentPath } = files;
  return () => {
    // Memory never shrinks: what was added is emptied.
    wasm.HEAPU8.set(memory);
    wasm.HEAPU8.fill(0, memory.length);
    wasm.stackRestore(stack);
    for (const { node, fields, contents } of nodes) {
      for (const field of Object.keys(node)) if (!Object.hasOwn(fields, field)) delete node[field];
      Object.assign(node, fields);
      if (contents instanceof Uint8Array) node.contents = contents.slice();
      else if (contents !== undefined) node.contents = { ...contents };
    }
    files.streams.splice(
      0,
      Infinity,
      ...streams.map((kept) => kept && Object.assign(kept.stream, kept.fields, { shared: { ...kept.shared } })),
    );
    files.nameTable.splice(0, Infinity, ...names);
    files.nextInode = nextInode;
    files.currentPath = currentPath;
  };
}

function readInput(buffer: Uint8Array): number {
  const piece = input.subarray(inputAt, inputAt + buffer.length);
  buffer.set(piece);
  inputAt += piece.length;
  return piece.length;
}

function writeOutput(bytes: Uint8Array): number {
  outputLength += bytes.length;
  if (outputLength > outputLimit) {
    tooMuch = true;
    Atomics.store(interrupt, 0, 2);
    throw new TooMuchOutput("output");
  }
  output.push(decoder.decode(bytes, { stream: true }));
  return bytes.length;
}

/** One stage in a fresh interpreter. A failure that no Python exception can be is returned as `broken`. */
function stage(job: Record<string, unknown>, stdin = ""): { answer?: Record<string, unknown>; broken?: Used } {
  const { wasm, files, restore, command } = interpreter;
  restore();
  files.writeFile("/home/pyodide/job.json", JSON.stringify(job));
  input = new TextEncoder().encode(stdin);
  inputAt = 0;
  output = [];
  outputLength = 0;
  tooMuch = false;
  reached = "";
  decoder.decode();
  Atomics.store(interrupt, 0, 0);
  sealed = true;
  try {
    wasm._PyRun_SimpleString(command);
  } catch (cause) {
    if (reached === "" && !tooMuch) {
      lost = true;
      return {
        broken: {
          kind: "crash",
          message: `the interpreter gave up: ${String(cause instanceof Error ? cause.message : cause).slice(0, 200)}`,
        },
      };
    }
  } finally {
    sealed = false;
    Atomics.store(interrupt, 0, 0);
  }
  // What was reached for did nothing, so the restored interpreter is as good as new.
  if (reached !== "") return { broken: { kind: "forbidden", message: `it reached out of the interpreter (${reached})` } };
  if (tooMuch) return { broken: { kind: "output", message: `it wrote more than ${outputLimit} bytes` } };
  try {
    return { answer: JSON.parse(files.readFile("/home/pyodide/answer.json", { encoding: "utf8" })) as Record<string, unknown> };
  } catch {
    return { broken: { kind: "error", message: "it left no result" } }; // the program saw to that
  }
}

/** Set when the interpreter is in a state that restoring its memory may not mend. */
let lost = false;

async function work(job: Job): Promise<{ used: Used[] }> {
  const deadline = Date.now() + job.timeoutMs;
  outputLimit = job.outputLimit;
  alarm[0] = deadline;
  Atomics.store(armed, 0, 1);
  Atomics.notify(armed, 0);
  try {
    return { used: runUses(job, deadline) };
  } finally {
    Atomics.store(armed, 0, 0);
    Atomics.notify(armed, 0);
  }
}

function runUses(job: Job, deadline: number): Used[] {
  const { source, uses } = job;
  const used: Used[] = Array.from({ length: uses.length });
  const late: Used = { kind: "timeout", message: `it was not done within ${job.timeoutMs} ms` };
  /** A stage's answer, or why there is none; what ended because the time was up says so whatever the program made of the interrupt. */
  const attempt = (request: Record<string, unknown>, stdin?: string): Record<string, unknown> | Used => {
    if (lost) return { kind: "crash", message: "its interpreter was lost in an earlier test" };
    if (Date.now() >= deadline) return late;
    const { answer, broken } = stage({ source, ...request }, stdin);
    if (broken) return broken;
    const failed = answer!["failed"] as Used | undefined;
    if (Date.now() >= deadline && (failed?.kind === "timeout" || answer!["kind"] === "timeout")) return late;
    return failed ?? answer!;
  };

  for (const [at, use] of uses.entries()) {
    if (use.kind === "output") {
      const answer = attempt({ stage: "run" }, use.stdin);
      used[at] =
        answer["kind"] === "output" && answer["message"] === undefined ? { kind: "output", stdout: output.join("") } : (answer as Used);
    } else if (use.kind === "assert" && use.inside) used[at] = attempt({ stage: "inside", code: use.code }) as Used;
  }

  const calls = [...uses.entries()].filter(([, use]) => use.kind === "call");
  if (calls.length > 0) {
    const answer = attempt({ stage: "calls", calls: calls.map(([, use]) => use) });
    const values = answer["used"] as Used[] | undefined;
    for (const [i, [at]] of calls.entries()) used[at] = values?.[i] ?? (values ? late : (answer as Used));
  }

  const asserts = [...uses.entries()].flatMap(([at, use]) => (use.kind === "assert" && !use.inside ? [{ at, code: use.code }] : []));
  if (asserts.length > 0) judgeAssertions(asserts, source, attempt, used);
  for (let at = 0; at < used.length; at++) if (used[at]?.kind === "timeout") used[at] = late;
  return used;
}

/**
 * Assertions run in an interpreter in which the program never was, with stand-ins for its functions. A call that has no answer yet ends the
 * run; the program answers it in its own interpreter, and the assertion runs again, a call further. All assertions go side by side.
 */
function judgeAssertions(
  asserts: readonly { at: number; code: string }[],
  source: string,
  attempt: (request: Record<string, unknown>) => Record<string, unknown> | Used,
  used: Used[],
): void {
  const giveUp = (reason: Record<string, unknown>): void => {
    for (const { at } of asserts) used[at] ??= reason as Used;
  };
  // Only names that the program itself uses are asked for: others would tell it words of the assertions.
  const inProgram = new Set(source.match(/[A-Za-z_]\w*/g));
  const names = [...new Set(asserts.flatMap(({ code }) => code.match(/[A-Za-z_]\w*/g) ?? []))].filter((name) => inProgram.has(name));
  const found = attempt({ stage: "names", names });
  const kinds = found["kinds"] as Record<string, { call?: boolean }> | undefined;
  if (!kinds) return giveUp(found);
  // The function that HumanEval's check is handed: the one that the program defines last.
  const entry = [...source.matchAll(/^(?:async )?def (\w+)/gm)].map(([, name]) => name!).findLast((name) => inProgram.has(name));
  const withEntry = entry === undefined || kinds[entry] ? kinds : { ...kinds, [entry]: { call: true } };
  const recorded = asserts.map(() => ({ calls: [] as unknown[], answers: [] as Used[] }));
  for (;;) {
    const open = asserts.flatMap(({ at }, i) => (used[at] === undefined ? [i] : []));
    if (open.length === 0) return;
    const judged = attempt({
      source: "",
      stage: "judge",
      kinds: withEntry,
      entry,
      tests: open.map((i) => ({ code: asserts[i]!.code, answers: recorded[i]!.answers })),
    });
    const verdicts = judged["verdicts"] as Used[] | undefined;
    if (!verdicts) return giveUp(judged);
    for (const [j, i] of open.entries()) {
      const verdict = verdicts[j];
      if (verdict?.kind === "need") recorded[i]!.calls.push(verdict["call"]);
      else used[asserts[i]!.at] = verdict ?? { kind: "error", message: "the assertion left no result" };
    }
    const waiting = open.filter((i) => recorded[i]!.calls.length > recorded[i]!.answers.length);
    if (waiting.length === 0) continue;
    const answered = attempt({ stage: "calls", calls: waiting.flatMap((i) => recorded[i]!.calls) });
    const values = answered["used"] as Used[] | undefined;
    if (!values) return giveUp(answered);
    let next = 0;
    for (const i of waiting) {
      const { calls, answers } = recorded[i]!;
      const last = values[next + calls.length - 1];
      next += calls.length;
      if (last === undefined || last.kind === "timeout" || last.kind === "memory")
        used[asserts[i]!.at] = last ?? { kind: "timeout", message: "" };
      else answers.push(last);
    }
  }
}
