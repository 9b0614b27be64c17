/**
 * What a training service costs over the local engine: a GRPO step of the main job (16 tasks x 16 answers, sizes of its model, the same
 * LoRA adapter) with the local engine, and through the protocol with `guerdon serve --engine` in another process on this machine. Steps of
 * the two alternate in one run, both with sampling, reward, one backward pass and one update. Writes results/round-trip.json.
 *
 *   node --conditions=guerdon-source bench/round-trip.ts [pairs of steps] [threads]
 *
 * The exit status is 1 when the ratio of the steps' seconds is 1.15 or more.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { startEngineServer } from "../scripts/engine-server.ts";
import { localEngine, tinkerEngine } from "../src/engines/index.ts";
import { readModel, transformer, writeModel } from "../src/policies/index.ts";
import type { LoraConfig } from "../src/policies/index.ts";
import { symbolTokenizer } from "../src/policies/tokenizer.ts";
import { reward } from "../src/rewards/index.ts";
import { bootstrapInterval, mean, median as middle } from "../src/statistics/index.ts";
import { stream } from "../src/statistics/stream.ts";
import { countdownJob, train } from "../src/training/index.ts";
import type { TextEngine, TrainReport } from "../src/training/index.ts";
import { describeMachine } from "../src/training/runs/machine.ts";

const root = resolve(import.meta.dirname, "..");
const limit = 1.15;
const pairs = Number(process.argv[2] ?? 40) || 40;
const threads = Number(process.argv[3] ?? 1) || 1;
/** Steps before the clock runs: programs are compiled, and memory grows, at the server until it keeps the weights of as many steps as it will (8). */
const settling = 12;
const lora: LoraConfig = { rank: 8, alpha: 32, targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] };

const job = countdownJob({ seed: 100 });
const { environment, contender, model } = job;
if ("folder" in model || contender.method.data !== "rollouts" || job.warmUp === null) throw new Error("The main job is not as it was.");
const { vocabulary, context, layers, width, heads } = model;
const tokenizer = symbolTokenizer(environment.symbols!);
/** Half of the answers are right by it whatever the model knows, so that gradients are numbers of full length, as in training. */
const evenLength = reward("even length", ({ text }) => text.length % 2 === 0);
/** At rate 0 all work is done and the weights stay, so that both sides' answers are as long from the first step to the last. */
const steps = { method: { ...contender.method, learningRate: 0 }, tasksPerStep: contender.tasksPerStep, reward: evenLength };

const folder = mkdtempSync(join(tmpdir(), "guerdon-round-trip-"));
const base = join(folder, "base");
try {
  await makeBase();
  const server = await startEngineServer(base, join(folder, "data"), ["--threads", `${threads}`]);
  try {
    await compare(server.url);
  } finally {
    await server.stop();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * A model of the main job's sizes as services know them (Qwen3's kind: the main job's own layers are of no class there), after a short
 * warm-up, so that answers have the lengths that they have in the job.
 */
async function makeBase(): Promise<void> {
  const sizes = { vocabulary, context, layers, width, heads, hidden: 4 * width };
  const kind = { norm: "rms", positions: "rotary", activation: "swiglu", tied: true, queryKeyNorm: true } as const;
  const policy = transformer({ ...sizes, ...kind }, { tokenizer });
  const engine = await localEngine({ policy, seed: 1, threads });
  for await (const { index, loss } of train({
    engine,
    environment,
    method: job.warmUp!.method,
    steps: 60,
    tasksPerStep: job.warmUp!.tasksPerStep,
    seed: 1,
  }))
    if (index % 30 === 0) console.error(`warm-up, step ${index}: loss ${loss!.toFixed(3)}`);
  mkdirSync(base);
  writeFileSync(join(base, "tokenizer.json"), JSON.stringify(tokenizerFile(environment.symbols!)));
  writeFileSync(join(base, "tokenizer_config.json"), JSON.stringify({ eos_token: "<eos>" }));
  await writeModel(base, policy, await engine.weights());
  engine.dispose();
  policy.dispose();
}

/** The symbols as Hugging Face's library has them. */
function tokenizerFile(symbols: readonly string[]): object {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "WhitespaceSplit" },
    post_processor: null,
    decoder: null,
    model: { type: "WordLevel", vocab: Object.fromEntries(symbols.map((symbol, id) => [symbol, id])), unk_token: symbols[0] },
  };
}

async function compare(url: string): Promise<void> {
  const { policy, parameters } = await readModel(base, { tokenizer, lora, seed: 1 });
  const here = await localEngine({ policy, parameters, seed: 1, threads });
  const there = await tinkerEngine({ baseUrl: url, model: "base", lora: { rank: lora.rank, seed: 1 }, tokenizer: tokenizer });
  const run = (engine: TextEngine) => train({ engine, environment, ...steps, steps: settling + pairs, seed: 1 });
  const runs = { local: run(here), service: run(there) };
  const seconds: Record<keyof typeof runs, number[]> = { local: [], service: [] };
  const parts: Record<keyof typeof runs, Record<string, number>> = { local: {}, service: {} };
  const norms: Record<keyof typeof runs, number[]> = { local: [], service: [] };
  let tokens = 0;
  const load = [loadavg()[0]!];
  for (let i = 0; i < settling + pairs; i++)
    // Each is first as often as the other.
    for (const name of i % 2 === 0 ? (["local", "service"] as const) : (["service", "local"] as const)) {
      const began = performance.now();
      const next = await runs[name].next();
      const took = (performance.now() - began) / 1000;
      const report = next.value as TrainReport;
      if (i < settling) continue;
      seconds[name].push(took);
      norms[name].push(report.gradientNorm!);
      for (const [part, spent] of Object.entries(report.seconds)) parts[name][part] = (parts[name][part] ?? 0) + spent / pairs;
      if (name === "service") tokens += report.rollouts!.drawn.reduce((sum, { rollout }) => sum + rollout.row.actions.length, 0);
    }
  load.push(loadavg()[0]!);
  for (const one of Object.values(runs)) await one.return();
  await there.dispose();
  here.dispose();
  policy.dispose();

  const ratioOf = (rows: readonly (readonly [number, number])[]) => mean(rows.map(([, b]) => b)) / mean(rows.map(([a]) => a));
  const rows = seconds.local.map((one, i) => [one, seconds.service[i]!] as const);
  const ratio = ratioOf(rows);
  const interval = bootstrapInterval(rows, ratioOf, { rng: stream(1, "bootstrap") });
  const median = { local: middle(seconds.local), service: middle(seconds.service) };
  const file = {
    format: "guerdon-round-trip",
    version: 1,
    command: `node --conditions=guerdon-source bench/round-trip.ts ${pairs} ${threads}`,
    written: new Date().toISOString(),
    machine: describeMachine(),
    /** Processes that wanted to run, over the minute before and after: numbers are worth most where this is near the threads used. */
    load,
    threads,
    model: { layers, width, heads, vocabulary, context, lora },
    step: {
      tasks: steps.tasksPerStep,
      groupSize: contender.method.data === "rollouts" ? contender.method.groupSize : 0,
      meanTokens: tokens / pairs,
    },
    pairs,
    seconds: { mean: { local: mean(seconds.local), service: mean(seconds.service) }, median, parts },
    meanGradientNorm: { local: mean(norms.local), service: mean(norms.service) },
    ratio,
    interval,
    medianRatio: median.service / median.local,
    limit,
    within: ratio < limit,
  };
  mkdirSync(join(root, "results"), { recursive: true });
  writeFileSync(join(root, "results", "round-trip.json"), `${JSON.stringify(file, null, 2)}\n`);
  const ms = (x: number): string => `${(1000 * x).toFixed(1)} ms`;
  console.log(
    `a step of ${Math.round(tokens / pairs)} tokens: ${ms(median.local)} here, ${ms(median.service)} through the protocol (medians)`,
  );
  console.log(
    `ratio of means ${ratio.toFixed(3)}, 95 % interval ${interval.low.toFixed(3)} to ${interval.high.toFixed(3)}, limit ${limit}; load ${load.map((x) => x.toFixed(1)).join(", ")}`,
  );
  console.log(JSON.stringify(parts));
  if (!(ratio < limit)) process.exitCode = 1;
}
