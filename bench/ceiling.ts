/**
 * How far the local engine goes on this machine: one GRPO-like step (draw answers, one backward pass over them, one update) for growing
 * models and contexts, with all weights trained and with a LoRA adapter, each in a process of its own. Writes results/ceiling.json.
 *
 *   node --conditions=guerdon-source bench/ceiling.ts [seconds for one]
 */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join, resolve } from "node:path";
import { localEngine } from "../src/engines/index.ts";
import { parameterShapes, transformer } from "../src/policies/index.ts";
import type { LoraConfig, Tokenizer, TransformerConfig } from "../src/policies/index.ts";
import { below, stream } from "../src/statistics/stream.ts";
import { describeMachine } from "../src/training/runs/machine.ts";

/** A Qwen3-shaped model and a batch: so many rows, half prompt and half answer. */
interface Case {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly vocabulary: number;
  readonly rows: number;
  /** Tokens of a row. */
  readonly context: number;
  readonly train: "all" | "lora";
}

/** A second step's seconds (the first compiles), or why there are none. */
type Outcome =
  | {
      readonly seconds: { readonly sampling: number; readonly backward: number; readonly update: number; readonly step: number };
      readonly firstStep: number;
      readonly peakGiB: number;
    }
  | { readonly failed: string };

const size = (layers: number, width: number, heads: number, vocabulary: number) => ({ layers, width, heads, vocabulary });
const sizes = [size(3, 64, 4, 110), size(6, 256, 8, 4096), size(8, 384, 8, 8192), size(12, 512, 8, 8192), size(12, 768, 12, 32_000)];
const cases: readonly Case[] = [
  ...sizes.flatMap((one) => (["all", "lora"] as const).map((train) => ({ ...one, rows: 16, context: 64, train }))),
  ...[128, 256, 512].map((context) => ({ ...sizes[1]!, rows: 2048 / context, context, train: "lora" as const })),
];
const lora: LoraConfig = { rank: 8, alpha: 32, targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] };
const kind = { norm: "rms", positions: "rotary", activation: "swiglu", tied: true, queryKeyNorm: true } as const;
const configOf = ({ layers, width, heads, vocabulary, context }: Case): TransformerConfig => ({
  ...kind,
  layers,
  width,
  heads,
  vocabulary,
  context,
  hidden: 3 * width,
});
const count = (shapes: Readonly<Record<string, readonly number[]>>): number =>
  Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((product, n) => product * n, 1), 0);
const threads = Math.min(2, availableParallelism());

if (process.argv[2] === "--one") {
  const outcome = await measured(JSON.parse(process.argv[3]!) as Case);
  process.stdout.write(JSON.stringify(outcome));
} else await all(1000 * (Number(process.argv[2] ?? 60) || 60));

async function all(timeout: number): Promise<void> {
  const self = import.meta.filename;
  const load = [loadavg()[0]!];
  const results = [];
  for (const one of cases) {
    const parameters = count(parameterShapes(configOf(one)));
    const outcome = await new Promise<Outcome>((done) =>
      execFile(process.execPath, [...process.execArgv, self, "--one", JSON.stringify(one)], { timeout }, (error, out, said) => {
        if (error === null) return done(JSON.parse(out) as Outcome);
        const reason = /^\w*Error: (.*)$/m.exec(said)?.[1] ?? `it ended with ${error.signal ?? error.code}`;
        done({ failed: error.killed === true ? `two steps were not done in ${timeout / 1000} s` : reason });
      }),
    );
    results.push({ ...one, parameters, ...outcome });
    const told = "failed" in outcome ? outcome.failed : `${outcome.seconds.step.toFixed(2)} s a step, ${outcome.peakGiB.toFixed(2)} GiB`;
    console.log(`${(parameters / 1e6).toFixed(1).padStart(6)} M, ${one.train.padEnd(4)}, ${one.rows} x ${one.context} tokens: ${told}`);
  }
  load.push(loadavg()[0]!);
  const root = resolve(import.meta.dirname, "..");
  mkdirSync(join(root, "results"), { recursive: true });
  const file = {
    format: "guerdon-ceiling",
    version: 1,
    command: "node --conditions=guerdon-source bench/ceiling.ts",
    written: new Date().toISOString(),
    machine: describeMachine(),
    threads,
    load,
    lora,
    cases: results,
  };
  writeFileSync(join(root, "results/ceiling.json"), `${JSON.stringify(file, null, 2)}\n`);
}

async function measured(one: Case): Promise<Outcome> {
  const { vocabulary, rows, context, train } = one;
  // Tokens are numbers here, and none ends an answer.
  const encode = (text: string): Int32Array => Int32Array.from(text.split(" "), Number);
  const tokenizer: Tokenizer = {
    vocabulary,
    end: null,
    encode,
    decode: (tokens) => Array.from(tokens).join(" "),
    encodePrompt: (prompt) => encode(prompt as string),
  };
  const policy = transformer(configOf(one), { tokenizer, ...(train === "lora" && { lora }) });
  const engine = await localEngine({ policy, seed: 1, threads });
  const rng = stream(1, "prompts");
  const half = context / 2;
  const step = async () => {
    const requests = Array.from({ length: rows }, (_, i) => {
      const prompt = Array.from({ length: half }, () => below(rng, vocabulary)).join(" ");
      return { task: { id: `${i}`, prompt }, group: `${i}`, rng: stream(1, "draw", i) };
    });
    const began = performance.now();
    const drawn = await engine.sample(requests, { maxActions: half });
    const sampled = performance.now();
    const gradients = drawn.map(({ row }) => Float32Array.from(row.actions, (_, j) => (j % 2 === 0 ? 1e-3 : -1e-3)));
    await engine.backward(
      drawn.map(({ row }) => row),
      { logProbs: gradients },
    );
    const gone = performance.now();
    await engine.update({ learningRate: 1e-4, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, clipNorm: 1 });
    const done = performance.now();
    const seconds = (from: number, to: number): number => (to - from) / 1000;
    return { sampling: seconds(began, sampled), backward: seconds(sampled, gone), update: seconds(gone, done), step: seconds(began, done) };
  };
  const { step: firstStep } = await step();
  const seconds = await step();
  engine.dispose();
  policy.dispose();
  return { seconds, firstStep, peakGiB: process.resourceUsage().maxRSS / 2 ** 20 };
}
