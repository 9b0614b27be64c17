import { z } from "zod";
import { thisHost } from "../../../data/host.ts";
import { GuerdonError } from "../../../error.ts";
import { unscorable, type Grade } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { lastProgram } from "./extract.ts";
import { inSandbox, type SandboxKind } from "./sandboxes.ts";
import { moduleNames, refusal } from "./verilog-text.ts";
import type { YosysJob, YosysResult } from "./yosys-peer.ts";

/** See code-tests.ts. */
const here = import.meta.url;
const yosys: SandboxKind = {
  name: "Yosys",
  module: new URL("./yosys-peer.ts", here),
  start: { kind: "process", memoryMiB: 2048, flags: ["--wasm-max-mem-pages=16384"], reads: ["@yowasp/yosys"] },
  size: 2,
  needs: "@yowasp/yosys",
};
const languages = ["verilog", "systemverilog", "sv", "v"];

export interface EquivalenceOptions {
  /** The module that is compared; that of the reference which no other one uses, unless said. */
  readonly top?: string;
  /** For each of the steps, in milliseconds; 30,000 unless said. */
  readonly timeoutMs?: number;
  /** The clock steps after which an induction is given up, 1 to 1000; 20 unless said. */
  readonly steps?: number;
  readonly signal?: AbortSignal;
}

/** `reference` is a reference that cannot be used; `undecided` a proof that was not found; everything else but `same` is the design's doing. */
export interface EquivalenceResult {
  readonly kind: "same" | "different" | "error" | "forbidden" | "timeout" | "memory" | "crash" | "undecided" | "reference";
  readonly message: string;
}

/**
 * Whether two Verilog designs do the same, proved by Yosys: for all inputs, and for designs with registers for all inputs over time, by
 * temporal induction from an unknown state. Where the reference's output is unknown (x), as before a reset, any output of the design will do.
 * Each is read apart from the other, in a process of its own.
 *
 * @throws GuerdonError "usage" for options out of range; "missing-dependency", "io", "unsupported", "interrupted" as `runTests`
 */
export async function equivalent(reference: string, design: string, options: EquivalenceOptions = {}): Promise<EquivalenceResult> {
  const { timeoutMs, steps } = resolved(options);
  const refused = refusal(design);
  if (refused !== null) return { kind: "forbidden", message: `${refused} is refused in a design` };
  const run = async (job: YosysJob): Promise<YosysResult | EquivalenceResult> => {
    const outcome = await inSandbox<YosysJob, YosysResult>(yosys, job, timeoutMs, options.signal);
    if (outcome.kind === "done") return outcome.value;
    return { kind: outcome.kind === "ended" || outcome.kind === "threw" ? "crash" : outcome.kind, message: outcome.reason };
  };
  const prepared = (name: string, top: string): string =>
    `read_verilog -sv design.v; hierarchy -check ${top}; proc; flatten; memory; chformal -remove; opt_clean; rename -top ${name}; select ${name}; write_rtlil -selected design.il`;

  const gold = await run({
    script: prepared("gold", options.top ? `-top ${options.top}` : "-auto-top"),
    files: { "design.v": reference },
    keep: "design.il",
  });
  if ("kind" in gold) return { kind: "reference", message: gold.message };
  if (gold.failed || gold.made === undefined) return { kind: "reference", message: errorIn(gold.log) };
  const top = options.top ?? /Automatically selected (\w+) as design top/.exec(gold.log)?.[1] ?? moduleNames(reference).at(-1) ?? "top";

  const gate = await run({ script: prepared("gate", `-top ${top}`), files: { "design.v": design }, keep: "design.il" });
  if ("kind" in gate) return gate;
  if (gate.failed || gate.made === undefined) return { kind: "error", message: errorIn(gate.log) };

  const sequential = /cell \$_?(?:a?l?d?ff|sr|dlatch|mem)|\$(?:dff|adff|sdff|dlatch|mem)/.test(gold.made + gate.made);
  const induction = sequential ? `-set-init-undef -tempinduct -seq 1 -maxsteps ${steps}` : "";
  const proof = await run({
    script: `read_rtlil gold.il; read_rtlil gate.il; miter -equiv -flatten -make_outputs -ignore_gold_x gold gate miter; hierarchy -top miter; sat -enable_undef ${induction} -verify -prove trigger 0 miter`,
    files: { "gold.il": gold.made, "gate.il": gate.made },
  });
  if ("kind" in proof)
    return proof.kind === "timeout" || proof.kind === "memory" ? { kind: "undecided", message: `the proof: ${proof.message}` } : proof;
  if (!proof.failed && /SUCCESS!/.test(proof.log)) return { kind: "same", message: "proved" };
  if (/model found(?: for base case)?: FAIL!/.test(proof.log)) return { kind: "different", message: "the outputs differ for some input" };
  if (/Reached maximum number of time steps/.test(proof.log)) return { kind: "undecided", message: `no proof within ${steps} clock steps` };
  return { kind: "different", message: errorIn(proof.log) };
}

const errorIn = (log: string): string => (/ERROR: (.*)/.exec(log)?.[1] ?? log.trim().split("\n").at(-1) ?? "").slice(0, 300);

export interface VerilogEquivalentOptions extends Omit<EquivalenceOptions, "signal"> {
  /** How reports call it; "verilog-equivalent" unless said. */
  readonly name?: string;
}

/**
 * A reward for Verilog: 1 when the last code block of the answer is proved to do what the design in the column `reference` does (see
 * `equivalent`), else 0. A design that does not compile, is refused, takes too long to read or lacks the module is 0 with a note. A reference
 * that cannot be used is unscorable, and so is a proof that is not found in time: that says nothing about the answer.
 *
 * @throws GuerdonError "usage" for options out of range
 */
export function verilogEquivalent({ name = "verilog-equivalent", ...options }: VerilogEquivalentOptions = {}): Reward<{
  reference: string;
}> {
  const version = JSON.stringify({ version: 1, top: options.top ?? null, ...resolved(options) });
  return reward(
    name,
    { version, columns: z.object({ reference: z.string() }) },
    async ({ text, reference }, { signal }): Promise<Grade> => {
      const design = lastProgram(text, languages);
      if (design === null) return { value: 0, note: "there is no Verilog in the answer" };
      const { kind, message } = await equivalent(reference, design, { ...options, signal });
      if (kind === "same") return 1;
      if (kind === "undecided")
        return unscorable("declined", `Whether the design does what the reference does is not decided: ${message}.`);
      if (kind === "reference") return unscorable("wrong-column", `The reference design cannot be used: ${message}.`);
      return { value: 0, note: message };
    },
  );
}

function resolved({ timeoutMs = 30_000, steps = 20, top }: EquivalenceOptions): { timeoutMs: number; steps: number } {
  if (!(timeoutMs >= 1 && timeoutMs <= 3_600_000))
    throw new GuerdonError("usage", `Verilog: timeoutMs must be from 1 to 3600000, not ${timeoutMs}.`);
  if (!(Number.isInteger(steps) && steps >= 1 && steps <= 1000))
    throw new GuerdonError("usage", `Verilog: steps must be a whole number from 1 to 1000, not ${steps}.`);
  if (top !== undefined && !/^[A-Za-z_]\w*$/.test(top)) throw new GuerdonError("usage", `Verilog: "${top}" is no name of a module.`);
  return { timeoutMs, steps };
}

export interface VerilogBenchOptions {
  /** What the simulation must print for the answer to be right, on a line of its own. */
  readonly passes: string;
  /** For compiling and for simulating, each, in milliseconds; 10,000 unless said. */
  readonly timeoutMs?: number;
  /** 512 MiB unless said. */
  readonly memoryMiB?: number;
  /** How reports call it; "verilog-bench" unless said. */
  readonly name?: string;
}

/**
 * A reward for Verilog: 1 when the last code block of the answer, simulated under the test bench in the column `testbench` by Icarus Verilog,
 * makes the bench print the line `passes`, else 0. Needs `iverilog` and `vvp` on PATH. Both run in an empty folder, without this process's
 * environment and under limits, and where the system allows without a network. What could reach files, print, end the simulation or reach into the bench is
 * refused in the answer before it is compiled (see `refusal` in verilog-text.ts), with 0 and a note.
 *
 * A bench that does not compile without the answer's modules being at fault cannot be told from an answer that does not fit it: both are 0.
 * Unscorable are rows on a machine without Icarus Verilog.
 *
 * @throws GuerdonError "usage" for options out of range
 */
export function verilogBench({
  passes,
  timeoutMs = 10_000,
  memoryMiB = 512,
  name = "verilog-bench",
}: VerilogBenchOptions): Reward<{ testbench: string }> {
  resolved({ timeoutMs });
  if (passes.trim() === "" || passes.includes("\n")) throw new GuerdonError("usage", "verilogBench: passes must be a line of text.");
  if (!(memoryMiB >= 16 && memoryMiB <= 65_536))
    throw new GuerdonError("usage", `verilogBench: memoryMiB must be from 16 to 65536, not ${memoryMiB}.`);
  const version = JSON.stringify({ version: 1, passes, timeoutMs, memoryMiB });
  return reward(
    name,
    { version, columns: z.object({ testbench: z.string() }) },
    async ({ text, testbench }, { signal }): Promise<Grade> => {
      const design = lastProgram(text, languages);
      if (design === null) return { value: 0, note: "there is no Verilog in the answer" };
      const refused = refusal(design, moduleNames(testbench));
      if (refused !== null) return { value: 0, note: `${refused} is refused in a design` };
      const host = await thisHost();
      if ((await host.find("iverilog")) === null || (await host.find("vvp")) === null)
        throw new GuerdonError("missing-dependency", "This needs Icarus Verilog: install iverilog with your system's package manager.");
      const limits = { timeoutMs, memoryMiB, outputLimit: 16 * 2 ** 20, signal };
      const tops = moduleNames(testbench)
        .slice(-1)
        .flatMap((top) => ["-s", top]);
      const compiled = await host.run("iverilog", ["-g2012", "-o", "out.vvp", ...tops, "design.v", "bench.v"], {
        ...limits,
        files: { "design.v": `${design}\n`, "bench.v": testbench },
        keep: ["out.vvp"],
      });
      const program = compiled.files["out.vvp"];
      if (compiled.end !== "exited")
        return { value: 0, note: compiled.end === "timeout" ? "compiling it took too long" : "compiling it wrote too much" };
      if (compiled.code !== 0 || program === undefined)
        return { value: 0, note: `it does not compile: ${compiled.stderr.trim().split("\n")[0]?.slice(0, 300) ?? ""}` };
      const { end, code, stdout } = await host.run("vvp", ["-n", "out.vvp"], { ...limits, files: { "out.vvp": program } });
      if (end === "timeout") return { value: 0, note: `the simulation took longer than ${timeoutMs} ms` };
      if (end === "output") return { value: 0, note: "the simulation wrote too much" };
      const said = stdout.split(/\r?\n/).some((line) => line.trim() === passes.trim());
      if (said && code === 0) return 1;
      return { value: 0, note: said ? `the simulation ended with code ${code}` : "the test bench does not say that it passes" };
    },
  );
}
