/**
 * Runs JavaScript and TypeScript programs in QuickJS, in a worker that can be killed. Each program gets a runtime of its own, and so does each
 * run with other input and each judge of its assertions. Nothing of the host is reachable: the only functions that lead out are those for
 * text written and read.
 */
import type { QuickJSContext, QuickJSHandle, QuickJSRuntime, QuickJSWASMModule } from "quickjs-emscripten";
import { thisHost } from "../../../data/host.ts";
import { answerJobs } from "../../../data/peer.ts";
import { GuerdonError } from "../../../error.ts";
import { assertions, bare, codec, surroundings } from "./javascript-inside.ts";
import type { Failed, ProgramJob, ProgramResult, Use, Used } from "./program.ts";
import { readValue } from "./values.ts";

type Library = typeof import("quickjs-emscripten");
let library: Library | null = null;
let wasm: QuickJSWASMModule | null = null;

answerJobs(
  async (job: ProgramJob): Promise<ProgramResult> => {
    let { source } = job;
    if (job.typescript) {
      try {
        source = await (await thisHost()).stripTypes(source);
      } catch (cause) {
        if (cause instanceof GuerdonError) throw cause;
        return { used: job.uses.map(() => ({ kind: "error", message: messageOf(cause) })) };
      }
    }
    wasm ??= await library!.newQuickJSWASMModule();
    return runProgram(wasm, source, job);
  },
  async () => {
    library = await import("quickjs-emscripten");
    wasm = await library.newQuickJSWASMModule();
  },
);

function runProgram(quickjs: QuickJSWASMModule, source: string, job: ProgramJob): ProgramResult {
  const deadline = performance.now() + job.timeoutMs;
  const used: Used[] = [];
  /** The program's own runtime, which its calls and assertions share. */
  let loaded: Room | null = null;
  let broken: Failed | null = null;
  for (const use of job.uses) {
    if (performance.now() >= deadline) {
      used.push(tooLate(job.timeoutMs));
      continue;
    }
    try {
      if (use.kind === "output") {
        const room = new Room(quickjs, job, deadline, use.stdin, source);
        const failed = room.evaluate(source);
        used.push(failed ?? { kind: "output", stdout: room.written });
        leave(room);
        continue;
      }
      if (loaded === null && broken === null) {
        loaded = new Room(quickjs, job, deadline, "", source);
        broken = loaded.evaluate(source);
      }
      used.push(broken ?? (use.kind === "call" ? loaded!.call(use) : assertion(quickjs, source, loaded!, use, job, deadline)));
    } catch (cause) {
      // The wasm instance itself gave up (its stack, an abort): it may be in any state and is left to the collector.
      wasm = null;
      const message = messageOf(cause);
      const kind = /memory/i.test(message) ? "memory" : "crash";
      while (used.length < job.uses.length) used.push({ kind, message: `the interpreter gave up: ${message}` });
      return { used };
    }
  }
  try {
    if (loaded) leave(loaded);
  } catch {
    wasm = null; // the instance cannot be trusted any more, what it said before can
  }
  return { used };
}

/** An interrupted runtime does not always let itself be freed: its whole instance goes then. */
function leave(room: Room): void {
  if (room.interrupted()) wasm = null;
  else room.leave();
}

/** A runtime with one context: the program's, or that of the judge of its assertions. */
class Room {
  readonly context: QuickJSContext;
  readonly runtime: QuickJSRuntime;
  written = "";
  private tooMuch = false;
  private readonly codec: QuickJSHandle;
  private readonly shims: QuickJSHandle;
  private exports: QuickJSHandle | null = null;
  private readonly job: ProgramJob;
  private readonly deadline: number;

  constructor(quickjs: QuickJSWASMModule, job: ProgramJob, deadline: number, stdin: string, source: string) {
    this.job = job;
    this.deadline = deadline;
    this.runtime = quickjs.newRuntime();
    this.runtime.setMemoryLimit(job.memoryMiB * 2 ** 20);
    this.runtime.setMaxStackSize(256 * 1024);
    this.runtime.setInterruptHandler(() => this.interrupted());
    this.context = this.runtime.newContext();
    const { context } = this;
    this.codec = context.unwrapResult(context.evalCode(codec, "inside.js", { type: "global" }));
    // Reading the surroundings takes longer than most programs: those that use none of them do without.
    const furnished = names.test(source);
    using make = context.unwrapResult(context.evalCode(furnished ? surroundings : bare, "inside.js", { type: "global" }));
    using write = context.newFunction("write", (text) => {
      const piece = context.getString(text);
      if (this.written.length + piece.length > job.outputLimit) this.tooMuch = true;
      else this.written += piece;
    });
    using read = context.newFunction("read", () => context.newString(stdin));
    this.shims = context.unwrapResult(context.callFunction(make, context.undefined, write, read));
  }

  leave(): void {
    this.exports?.dispose();
    this.shims.dispose();
    this.codec.dispose();
    this.context.dispose();
    this.runtime.dispose();
  }

  interrupted(): boolean {
    return this.tooMuch || performance.now() > this.deadline;
  }

  /** Runs a program to its end, timers included; null when all is well. */
  evaluate(source: string): Failed | null {
    const type = /(?:^|[;}])\s*(?:export|import)\s*(?:[\w{*"\x27])/m.test(source) ? "module" : "global";
    let result = this.context.evalCode(source, "program.js", { type });
    let module = type === "module";
    if (result.error && !module && /\bawait\b/.test(source)) {
      // Only modules may wait outside of functions. A script that does not parse has not begun to run.
      using error = result.error;
      const failed = this.described(error);
      if (!failed.message.startsWith("it threw SyntaxError")) return failed;
      result = this.context.evalCode(source, "program.js", { type: "module" });
      module = true;
    }
    if (result.error) return this.failure(result.error);
    if (!module) {
      result.value.dispose();
      return this.settle();
    }
    const failed = this.settle();
    const state = this.context.getPromiseState(result.value);
    if (state.type === "rejected") {
      result.value.dispose();
      return failed ?? this.failure(state.error);
    }
    if (state.type === "pending") {
      result.value.dispose();
      return failed ?? { kind: "error", message: "it waits for something that never comes" };
    }
    if (state.value !== result.value) result.value.dispose();
    this.exports = state.value;
    return failed;
  }

  /** Runs pending promises and timers until there are none. */
  settle(): Failed | null {
    for (;;) {
      const jobs = this.runtime.executePendingJobs();
      if (jobs.error) {
        const failed = this.failure(jobs.error);
        if (failed) return failed;
      }
      if (this.tooMuch) return tooMuchOutput(this.job);
      // An interrupted promise is only a rejected one to the program.
      if (performance.now() > this.deadline) return tooLate(this.job.timeoutMs);
      using turn = this.context.getProp(this.shims, "turn");
      const turned = this.context.callFunction(turn, this.shims);
      if (turned.error) return this.failure(turned.error);
      using more = turned.value;
      if (this.context.typeof(more) === "boolean" && !this.context.dump(more)) return null;
    }
  }

  /** Why something ended with an error; null when that was process.exit(). Disposes the error. */
  failure(error: QuickJSHandle): Failed | null {
    using held = error;
    const { context } = this;
    if (this.tooMuch) return tooMuchOutput(this.job);
    using exited = context.getProp(this.shims, "exited");
    const asked = context.callFunction(exited, this.shims, held);
    if (asked.error) asked.error.dispose();
    else {
      using answer = asked.value;
      if (context.dump(answer) === true) return null;
    }
    return this.described(held);
  }

  described(error: QuickJSHandle): Failed {
    const thrown: unknown = this.context.dump(error);
    const { name, message } = (typeof thrown === "object" && thrown !== null ? thrown : {}) as { name?: unknown; message?: unknown };
    if (name === "InternalError" && message === "interrupted") return tooLate(this.job.timeoutMs);
    if (name === "InternalError" && message === "out of memory")
      return { kind: "memory", message: `it used more than ${this.job.memoryMiB} MiB of memory` };
    const said =
      typeof message === "string"
        ? `${typeof name === "string" ? name : "Error"}: ${message}`
        : typeof thrown === "string"
          ? thrown
          : "an object";
    return { kind: "error", message: `it threw ${said.slice(0, 300)}` };
  }

  /** What the program calls `name`: a variable, an export, or a property of module.exports; null when it is nothing. */
  find(name: string): QuickJSHandle | null {
    if (!/^[A-Za-z_$][\w$]*$/.test(name)) return null;
    const { context } = this;
    if (this.exports !== null && context.typeof(this.exports) === "object") {
      const found = context.getProp(this.exports, name);
      if (context.typeof(found) !== "undefined") return found;
      found.dispose();
    }
    const looked = context.evalCode(
      `typeof ${name} === "undefined" ? (typeof module === "object" && module ? typeof module.exports === "function" && module.exports.name === "${name}" ? module.exports : module.exports?.${name} : undefined) : ${name}`,
      "find.js",
      { type: "global" },
    );
    if (looked.error) {
      looked.error.dispose();
      return null;
    }
    if (context.typeof(looked.value) !== "undefined") return looked.value;
    looked.value.dispose();
    return null;
  }

  call({ name, args }: Extract<Use, { kind: "call" }>): Used {
    using target = this.find(name);
    if (target === null) return { kind: "error", message: `it defines no ${name.slice(0, 60)}` };
    const answer = this.callWith(target, JSON.stringify(args), false);
    if ("message" in answer) return answer;
    const value = readValue(answer.json);
    if (value === undefined) return { kind: "error", message: `${name} returned something that cannot be read` };
    return { kind: "value", value };
  }

  /**
   * Calls a function and waits for the promise that it may return. Arguments are in plain JSON, or `encoded` as values.ts has it; then what
   * comes back keeps its classes or is refused, and comes with the arguments as the function left them.
   */
  callWith(target: QuickJSHandle, args: string, encoded: boolean): { json: string; args: string | null } | Failed {
    const { context } = this;
    using caller = context.getProp(this.codec, "call");
    using text = context.newString(args);
    const called = context.callFunction(caller, context.undefined, target, text, encoded ? context.true : context.false);
    if (called.error) return this.thrown(called.error);
    using returned = called.value;
    let value = context.getProp(returned, "value");
    const settled = this.settle();
    if (settled) {
      value.dispose();
      return settled;
    }
    if (context.typeof(value) === "object") {
      const state = context.getPromiseState(value);
      if (state.type === "rejected") {
        value.dispose();
        return this.thrown(state.error);
      }
      if (state.type === "pending") {
        value.dispose();
        return { kind: "error", message: "it returned a promise that never settles" };
      }
      if (state.value !== value) {
        value.dispose();
        value = state.value;
      }
    }
    using held = value;
    const json = this.encode(held, encoded);
    if (typeof json !== "string") return json;
    if (!encoded) return { json, args: null };
    using left = context.getProp(returned, "args");
    const after = this.encode(left, true);
    return { json, args: typeof after === "string" && !after.includes(other) ? after : null };
  }

  private thrown(error: QuickJSHandle): Failed {
    return this.failure(error) ?? { kind: "error", message: "it called process.exit()" };
  }

  private encode(value: QuickJSHandle, strictly: boolean): string | Failed {
    const { context } = this;
    using encode = context.getProp(this.codec, strictly ? "encodeStrictly" : "encode");
    const result = context.callFunction(encode, context.undefined, value);
    if (result.error) return this.thrown(result.error);
    using json = result.value;
    const text = context.typeof(json) === "string" ? context.getString(json) : "";
    if (text.length > this.job.outputLimit) return tooMuchOutput(this.job);
    return text;
  }

  decode(json: string): QuickJSHandle | { error: QuickJSHandle } {
    const { context } = this;
    using decode = context.getProp(this.codec, "decode");
    using text = context.newString(json);
    const result = context.callFunction(decode, context.undefined, text);
    return result.error ? { error: result.error } : result.value;
  }

  /** Brings what a function did to its arguments elsewhere to these. */
  update(args: readonly QuickJSHandle[], after: string): void {
    const { context } = this;
    using update = context.getProp(this.codec, "update");
    using text = context.newString(after);
    const result = context.callFunction(update, context.undefined, text, ...args);
    (result.error ?? result.value).dispose();
  }

  encodeArguments(values: readonly QuickJSHandle[]): string | { refused: string } {
    const pieces: string[] = [];
    for (const value of values) {
      const json = this.encode(value, true);
      if (typeof json !== "string") return { refused: json.message };
      if (json.includes(other)) return { refused: "a function or an object with methods was passed to the program" };
      pieces.push(json);
    }
    return `[${pieces.join(",")}]`;
  }
}

/**
 * Runs an assertion. Unless it is to run inside, it runs in a runtime of its own where the program's functions are stand-ins: the program
 * sees the arguments of its calls and nothing else.
 */
function assertion(
  quickjs: QuickJSWASMModule,
  source: string,
  program: Room,
  use: Extract<Use, { kind: "assert" }>,
  job: ProgramJob,
  deadline: number,
): Used {
  const judge = use.inside ? program : new Room(quickjs, job, deadline, "", use.code);
  const { context } = judge;
  let why = null as Failed | null;
  {
    using kit = context.unwrapResult(context.evalCode(assertions, "assertions.js", { type: "global" }));
    const given: string[] = ["assert", "expect", "test", "it", "describe", "require"];
    const values: QuickJSHandle[] = ["assert", "expect", "test", "it", "describe"].map((name) => context.getProp(kit, name));
    values.push(
      context.newFunction("require", (name) => {
        if (!/^(node:)?assert(\/strict)?$/.test(context.getString(name))) throw new Error("assertions can require nothing but assert");
        return context.getProp(kit, "assert");
      }),
    );
    if (!use.inside) {
      // Only names that the program itself uses are looked for: looking for others would tell it words of the assertion.
      const inProgram = new Set(source.match(identifier));
      for (const name of new Set(use.code.match(identifier))) {
        if (!inProgram.has(name) || given.includes(name) || reserved.test(name)) continue;
        using own = judge.find(name);
        if (own !== null) continue;
        using found = program.find(name);
        if (found === null) continue;
        if (new RegExp(`\\b(?:new|instanceof|extends)\\s+${name.replaceAll("$", "\\$")}\\b`).test(use.code)) {
          why ??= {
            kind: "no-plain-data",
            message: `the test uses ${name} as a class; mark it as inside, then the program's own interpreter runs it`,
          };
        }
        given.push(name);
        values.push(standIn(name, found));
      }
    }
    const outcome = context.evalCode(`(async (${given.join(", ")}) => {\n${use.code}\n})`, "assertion.js", { type: "global" });
    if (outcome.error) why = judge.described(outcome.error);
    else {
      using run = outcome.value;
      const started = context.callFunction(run, context.undefined, ...values);
      if (started.error) why ??= judge.failure(started.error);
      else {
        using promise = started.value;
        const settled = judge.settle();
        const state = context.getPromiseState(promise);
        if (settled) why ??= settled;
        else if (state.type === "pending") why ??= { kind: "error", message: "the assertion waits for something that never comes" };
        if (state.type === "rejected") {
          using error = state.error;
          using asks = context.getProp(kit, "isAssertion");
          using is = context.unwrapResult(context.callFunction(asks, context.undefined, error));
          const said = judge.described(error);
          why ??= context.dump(is) === true ? { kind: "assertion", message: said.message } : said;
        } else if (state.type === "fulfilled") state.value.dispose();
      }
    }
    for (const value of values) value.dispose();
  }
  if (!use.inside) leave(judge);
  return why ?? { kind: "held" };

  /** In the judge's runtime: the program's value, or a function that calls the program's. */
  function standIn(name: string, found: QuickJSHandle): QuickJSHandle {
    if (program.context.typeof(found) !== "function") {
      const json = program.encodeArguments([found]);
      const decoded = typeof json === "string" ? judge.decode(json) : null;
      if (decoded === null || "error" in decoded) {
        if (decoded !== null && "error" in decoded) decoded.error.dispose();
        why ??= unplain(name);
        return context.undefined;
      }
      using list = decoded;
      return context.getProp(list, 0);
    }
    return context.newFunction(name, (...args) => {
      const json = judge.encodeArguments(args);
      if (typeof json !== "string") {
        why ??= { kind: "no-plain-data", message: `${json.refused}; mark the test as inside, then the program's own interpreter runs it` };
        throw new Error(why.message);
      }
      using target = program.find(name);
      if (target === null) throw new Error(`${name} is no longer defined`);
      const answer = program.callWith(target, json, true);
      if ("message" in answer) {
        if (answer.kind !== "error") why ??= answer;
        throw new Error(answer.message);
      }
      const decoded = answer.json.includes(other) ? null : judge.decode(answer.json);
      if (decoded === null || "error" in decoded) {
        if (decoded !== null && "error" in decoded) decoded.error.dispose();
        why ??= unplain(name);
        throw new Error(why.message);
      }
      if (answer.args !== null && answer.args !== json) judge.update(args, answer.args);
      return decoded;
    });
  }
}

/** How a value that is no plain data begins, in JSON. */
const other = '{"$":"other"';
const names =
  /\b(?:console|print|readline|prompt|process|require|module|exports|set(?:Timeout|Interval|Immediate)|clear(?:Timeout|Interval)|globalThis|eval|Function)\b/;
const identifier = /[A-Za-z_$][\w$]*/g;
const reserved =
  /^(?:arguments|await|break|case|catch|class|const|continue|debugger|default|delete|do|else|enum|eval|export|extends|false|finally|for|function|if|import|in|instanceof|let|new|null|return|static|super|switch|this|throw|true|try|typeof|undefined|var|void|while|with|yield)$/;

/**
 * Something that is no plain data cannot leave the sandbox. For what a test calls by a capital letter, a class by custom, that is the test's doing,
 * and the test cannot be judged; anything else should have given plain data, and the program is at fault. The program has no say in which it is.
 */
const unplain = (name: string): Failed =>
  /^[A-Z]/.test(name)
    ? { kind: "no-plain-data", message: `${name} gives objects; mark the test as inside, then the program's own interpreter runs it` }
    : { kind: "error", message: `${name} gives something that is no plain data (if it is to, mark the test as inside)` };
const tooLate = (timeoutMs: number): Failed => ({ kind: "timeout", message: `it was not done within ${timeoutMs} ms` });
const tooMuchOutput = ({ outputLimit }: ProgramJob): Failed => ({
  kind: "output",
  message: `it wrote more than ${outputLimit} characters`,
});
const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message.slice(0, 300) : String(cause).slice(0, 300));
