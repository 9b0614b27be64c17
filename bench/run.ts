import { execFile } from "node:child_process";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { dirname, join } from "node:path";
import Table from "cli-table3";
import { GuerdonError } from "../src/error.ts";
import { fullPlan, measure, tinyPlan } from "./measure.ts";
import type { Measured, Plan } from "./measure.ts";

/** One line of the benchmark. */
interface Measurement {
  readonly name: string;
  readonly unit: string;
  readonly better: "lower" | "higher";
  readonly ours: number;
  /** The limit on this machine, and whether it is met; null where there is none. */
  readonly limit: number | null;
  readonly within: boolean | null;
  readonly peer: number | null;
  /** ours / peer. */
  readonly ratio: number | null;
  /** Why there is no peer, or null. */
  readonly reason: string | null;
}

export interface BenchReport {
  readonly format: "guerdon-bench";
  readonly version: 1;
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    readonly memoryGiB: number;
    readonly system: string;
    readonly node: string;
  };
  /** What the peer is: PyTorch's version, or null. */
  readonly peer: string | null;
  /** Times may be this many times the reference machine's: its 31 GFLOP/s at a 512 x 512 product, over this machine's. */
  readonly scale: number;
  readonly plan: Plan;
  readonly measurements: readonly Measurement[];
}

/** The reference machine's matrix product, and the limits there. */
const reference = { gflops: 31, oneCall: 560, twoCalls: 900, ragged: 876, tokensPerSecond: 4500, growth: 16 };

export interface BenchOptions {
  /** A few seconds with tiny shapes, to see that it works: no limits, and nothing is written. */
  readonly tiny?: boolean;
  /** Where to write; default results/bench.json. */
  readonly file?: string;
  /** Gets one line about what is being measured. */
  readonly tell?: (line: string) => void;
}

/**
 * Measures speed and memory on one thread of this machine, against PyTorch on one thread where bench/setup has installed it or
 * GUERDON_PYTHON names a python3 that has it. Writes results/bench.json.
 */
export async function bench(options: BenchOptions = {}): Promise<BenchReport> {
  const { tiny = false, file = join(import.meta.dirname, "../results/bench.json"), tell = () => {} } = options;
  const plan = tiny ? tinyPlan : fullPlan;
  const ours = await measure(plan, (what) => tell(`Guerdon: ${what}`));
  tell("PyTorch: the same, in its own process");
  const peer = await measurePeer(plan);
  const report = reportOf(plan, ours, peer, !tiny);
  if (!tiny) {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(`${file}.partial`, `${JSON.stringify(report, null, 2)}\n`);
    await rename(`${file}.partial`, file);
  }
  return report;
}

type Peer = { readonly torch: string; readonly values: Readonly<Record<string, number>> } | { readonly reason: string };

async function measurePeer(plan: Plan): Promise<Peer> {
  const named = process.env["GUERDON_PYTHON"];
  const python = named ?? join(import.meta.dirname, ".venv/bin/python");
  if (!(await succeeds(python, ["-c", "import torch"])))
    return { reason: named ? "GUERDON_PYTHON has no torch" : "PyTorch is not installed for the benchmark (bench/setup installs it)" };
  const text = await new Promise<string>((resolve, reject) => {
    const child = execFile(python, [join(import.meta.dirname, "peer.py")], (error, stdout, stderr) =>
      error ? reject(new GuerdonError("io", `bench/peer.py failed: ${stderr.trim() || error.message}`, { cause: error })) : resolve(stdout),
    );
    child.stdin?.end(JSON.stringify(plan));
  });
  const { torch, ...values } = JSON.parse(text) as { torch: string } & Record<string, number>;
  return { torch, values };
}

const succeeds = (file: string, parameters: readonly string[]): Promise<boolean> =>
  new Promise((resolve) => execFile(file, parameters, (error) => resolve(error === null)));

function reportOf(plan: Plan, ours: Measured, peer: Peer, limited: boolean): BenchReport {
  const scale = reference.gflops / ours.matmul;
  const line = (
    name: string,
    unit: string,
    better: "lower" | "higher",
    key: keyof Measured,
    most: number | null,
    unpaired: string | null = null,
  ): Measurement => {
    const value = ours[key];
    const limit = limited ? most : null;
    const theirs = unpaired === null && "values" in peer ? (peer.values[key] ?? null) : null;
    return {
      name,
      unit,
      better,
      ours: value,
      limit,
      within: limit === null ? null : better === "lower" ? value <= limit : value >= limit,
      peer: theirs,
      ratio: theirs === null ? null : value / theirs,
      reason: theirs === null ? (unpaired ?? ("reason" in peer ? peer.reason : "bench/peer.py does not measure it")) : null,
    };
  };
  const { layers, width } = plan.model;
  const shape = `${layers}x${width}, ${plan.rows}x${plan.tokens} tokens`;
  const { lengths, model: small } = plan.ragged;
  const positions = lengths.reduce((a, b) => a + b, 0);
  return {
    format: "guerdon-bench",
    version: 1,
    machine: {
      processor: cpus()[0]?.model.trim() ?? "unknown",
      cores: availableParallelism(),
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      system: `${process.platform} ${process.arch}`,
      node: process.version,
    },
    peer: "torch" in peer ? `PyTorch ${peer.torch}, 1 thread` : null,
    scale,
    plan,
    measurements: [
      line(`matrix product ${plan.matmul}x${plan.matmul}`, "GFLOP/s", "higher", "matmul", null),
      line(`one-call step (SFT), ${shape}`, "CPU ms", "lower", "sft", reference.oneCall * scale),
      line(`two-call step (clipped surrogate, reference), ${shape}`, "CPU ms", "lower", "surrogate", reference.twoCalls * scale),
      line(
        `sampling, ${plan.sampling.rows} rows, ${plan.sampling.tokens} new tokens`,
        "tokens/CPU-s",
        "higher",
        "sampling",
        reference.tokensPerSecond,
      ),
      line(
        `two-call step, ragged: ${small.layers}x${small.width}, ${lengths.length} rows, ${positions} positions, longest ${Math.max(...lengths)}`,
        "CPU ms",
        "lower",
        "ragged",
        reference.ragged * scale,
      ),
      line(
        `memory growth over ${plan.memory.steps} steps`,
        "MiB",
        "lower",
        "growth",
        reference.growth,
        "only whether memory stays flat here is asked",
      ),
    ],
  };
}

/** The report as one table, with the lines about machine and peer. */
export function benchTable(report: BenchReport): string {
  const number = (value: number | null): string =>
    value === null ? "-" : Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
  const table = new Table({
    head: ["measured", "unit", "ours", "limit", "met", "PyTorch", "ours / PyTorch"],
    style: { head: [], border: [], compact: true },
  });
  for (const m of report.measurements)
    table.push([
      m.name,
      m.unit,
      number(m.ours),
      m.limit === null ? "-" : `${m.better === "lower" ? "at most" : "at least"} ${number(m.limit)}`,
      m.within === null ? "-" : m.within ? "yes" : "no",
      number(m.peer),
      number(m.ratio),
    ]);
  const { machine } = report;
  const product = report.measurements[0];
  return [
    `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}; one thread, CPU time.`,
    `Limits of steps are the reference machine's x ${report.scale.toFixed(2)} (its ${reference.gflops} GFLOP/s over ${number(product?.ours ?? null)} here).`,
    report.peer === null ? `No comparison: ${product?.reason}.` : `Compared with ${report.peer}.`,
    table.toString(),
  ].join("\n");
}

if (process.argv[1] === import.meta.filename) {
  const report = await bench({ tiny: process.argv.includes("--tiny"), tell: (line) => process.stderr.write(`${line}\n`) });
  process.stdout.write(`${benchTable(report)}\n`);
}
