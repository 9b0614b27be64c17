/**
 * Three GRPO and three DPO steps on a SkyRL server (JAX on the CPU), and the same steps with the local engine from the same adapter and
 * on the same answers (tied.ts says what is special about SkyRL's adapter). Run by run.sh, which makes the Python environment and the model. Writes result.json.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseSafetensors } from "../../src/arrays/index.ts";
import { localEngine, tinkerEngine } from "../../src/engines/index.ts";
import type { LocalEngine, TinkerEngine } from "../../src/engines/index.ts";
import type { TextEnvironment } from "../../src/environments/index.ts";
import { readModel, readTokenizer } from "../../src/policies/index.ts";
import type { LoraConfig, TextSequence } from "../../src/policies/index.ts";
import type { Rollout } from "../../src/rollouts/rollout.ts";
import type { HostTensor } from "../../src/statistics/snapshot.ts";
import { grpo, onlineDpo, train } from "../../src/training/index.ts";
import type { Method, TextEngine, TrainOptions, TrainReport } from "../../src/training/index.ts";
import { describeMachine } from "../../src/training/runs/machine.ts";
import { startSkyRL } from "./server.ts";
import { withSharedA } from "./tied.ts";

const here = import.meta.dirname;
const folder = join(here, ".work/tiny");
/** SkyRL puts adapters of this shape on every model; alpha and targets are not in the protocol. */
const lora: LoraConfig = {
  rank: 8,
  alpha: 32,
  targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
};

/** What is taken for rounding in float32: nats of log-probabilities, and losses and norms, absolute or relative. */
const tolerance = 1e-4;

/** The reward: the answer's last number is even. */
const environment: TextEnvironment = {
  name: "even",
  maxActions: 8,
  draw: (_, rng) => {
    const numbers = Array.from({ length: 3 }, () => Math.floor(rng() * 62)).join(" ");
    return { id: numbers, prompt: numbers, reference: "even" };
  },
  check: (completion) => Number(completion.split(" ").at(-1)) % 2 === 0,
};

// SkyRL's JAX backend does not clip, whatever a step asks for; a limit that is never reached says the same to both.
const shared = { groupSize: 8, learningRate: 1e-2, optimizer: { clipNorm: 1e6 } };
const methods: readonly { readonly name: string; readonly method: Method; readonly reference?: "base" }[] = [
  { name: "GRPO", method: grpo({ as: "trl", kl: { estimator: "k3", coefficient: 0.04 }, ...shared }), reference: "base" },
  { name: "DPO", method: onlineDpo(shared) },
];

interface Step {
  readonly loss: number;
  readonly gradientNorm: number;
}
interface Compared {
  readonly method: string;
  readonly step: number;
  readonly reward: number;
  readonly skyrl: Step;
  readonly local: Step;
  /** Largest differences in nats between log-probabilities of the step's answers: SkyRL's sampler and trainer, and each of them to the local engine. */
  readonly logProbs: { readonly samplerToLocal: number; readonly samplerToTrainer: number; readonly tokens: number };
}

mkdirSync(join(here, ".work"), { recursive: true });
const server = await startSkyRL(here, folder);
let failure: unknown = null;
try {
  console.log(`SkyRL is ready at ${server.url} after ${server.seconds.toFixed(0)} s.`);
  const began = performance.now();
  const results = [];
  for (const one of methods) results.push(await compare(one));
  const steps = results.flatMap(({ steps }) => steps);
  const file = {
    format: "guerdon-skyrl",
    version: 1,
    command: "sh integrations/skyrl/run.sh",
    written: new Date().toISOString(),
    versions: server.versions,
    server: server.command,
    machine: describeMachine(),
    seconds: { start: server.seconds, training: (performance.now() - began) / 1000 },
    model: "random Qwen3, 2 layers of width 32, 64 words; LoRA of rank 8 on all projections",
    tolerance,
    adapters: results.map(({ method, start, end }) => ({ method, start, end })),
    steps,
  };
  writeFileSync(join(here, "result.json"), `${JSON.stringify(file, null, 2)}\n`);
  console.table(
    steps.map(({ method, step, reward, skyrl, local, logProbs }) => ({
      step: `${method} ${step}`,
      reward: reward.toFixed(3),
      "loss, SkyRL": skyrl.loss.toFixed(6),
      local: local.loss.toFixed(6),
      "gradient norm, SkyRL": skyrl.gradientNorm.toFixed(5),
      "local ": local.gradientNorm.toFixed(5),
      "log-probability differs by": logProbs.samplerToLocal.toExponential(1),
    })),
  );
  for (const { method, end } of results)
    console.log(
      `${method}: after three steps the adapters differ by ${end.largestDifference.toExponential(1)}, having moved by ${end.moved.toFixed(4)}.`,
    );
  for (const one of steps) check(one);
} catch (cause) {
  failure = cause;
  console.error(`The server's last words:\n${server.lastWords()}`);
} finally {
  await server.stop();
}
if (failure !== null) throw failure;

/** Three steps on SkyRL; then the adapter that they began with, and the answers that they drew, through the local engine. */
async function compare({ name, method, reference }: (typeof methods)[number]) {
  const engine = await tinkerEngine({
    baseUrl: server.url,
    apiKey: "tml-local",
    model: folder,
    lora: { rank: lora.rank, seed: 1 },
    tokenizer: await readTokenizer(folder),
  });
  const options = { environment, method, steps: 3, tasksPerStep: 4, seed: 1, ...(reference && { reference }) };
  const start = await adapterOf(engine, `${name}-start`);
  const drawn: Rollout<TextSequence>[][] = [];
  const there = await all({ ...options, engine: recording(engine, drawn) });
  const end = await adapterOf(engine, `${name}-end`);
  await engine.dispose();

  const { policy, parameters } = await readModel(folder, { lora });
  const local = await localEngine({ policy, parameters: { ...parameters, ...start }, seed: 0 });
  const differences: number[] = [];
  const locally = await all({ ...options, engine: replaying(withSharedA(local), drawn, differences) });
  const ended = await local.weights();
  local.dispose();
  policy.dispose();

  const steps = there.map((report, i): Compared => {
    const other = locally[i]!;
    if (report.reward!.mean !== other.reward!.mean) throw new Error(`${name}: step ${i + 1} did not learn from the same answers.`);
    return {
      method: name,
      step: i + 1,
      reward: report.reward!.mean!,
      skyrl: { loss: report.loss!, gradientNorm: report.gradientNorm! },
      local: { loss: other.loss!, gradientNorm: other.gradientNorm! },
      logProbs: {
        samplerToLocal: differences[i]!,
        samplerToTrainer: report.gap?.maximum ?? Number.NaN,
        tokens: drawn[i]!.reduce((sum, { row }) => sum + row.actions.length, 0),
      },
    };
  });
  return {
    method: name,
    steps,
    start: { tensors: Object.keys(start).length, largestOfB: largest(start, (key) => key.includes("lora_B")) },
    end: { moved: difference(start, end), largestDifference: difference(end, ended) },
  };
}

/** @throws when a number of SkyRL's is not finite, is 0, or is not the local engine's */
function check({ method, step, skyrl, local, logProbs }: Compared): void {
  const where = `${method}, step ${step}`;
  for (const name of ["loss", "gradientNorm"] as const) {
    if (!Number.isFinite(skyrl[name]) || skyrl[name] === 0) throw new Error(`${where}: ${name} is ${skyrl[name]}.`);
    if (!(Math.abs(skyrl[name] - local[name]) <= tolerance * Math.max(1, Math.abs(local[name]))))
      throw new Error(`${where}: ${name} is ${skyrl[name]} with SkyRL and ${local[name]} with the local engine.`);
  }
  if (!(logProbs.samplerToLocal <= tolerance)) throw new Error(`${where}: log-probabilities differ by ${logProbs.samplerToLocal}.`);
}

async function all(options: TrainOptions): Promise<TrainReport[]> {
  const reports: TrainReport[] = [];
  for await (const report of train(options)) reports.push(report);
  return reports;
}

/** The engine, with every batch of answers kept. */
function recording(engine: TinkerEngine, drawn: Rollout<TextSequence>[][]): TextEngine {
  const sample: TinkerEngine["sample"] = async (...given) => {
    const rollouts = await engine.sample(...given);
    drawn.push(rollouts);
    return rollouts;
  };
  return Object.create(engine, { sample: { value: sample } }) as TextEngine;
}

/** The local engine with the answers that another one drew, as if it had drawn them itself. */
function replaying(engine: LocalEngine<TextSequence>, drawn: readonly Rollout<TextSequence>[][], differences: number[]): TextEngine {
  const sample: typeof engine.sample = async () => {
    const batch = drawn[differences.length]!;
    const { logProbs } = await engine.forward(batch.map(({ row }) => row));
    differences.push(
      Math.max(...batch.flatMap(({ behaviourLogProbs }, i) => [...behaviourLogProbs].map((p, j) => Math.abs(p - logProbs![i]![j]!)))),
    );
    return batch.map((one) => ({ ...one, sampling: { ...one.sampling, engine: engine.id }, weightsVersion: engine.weightsVersion }));
  };
  return Object.create(engine, { sample: { value: sample } }) as TextEngine;
}

/** The adapter as SkyRL has it now: it saves peft's files, packed, under a name. */
async function adapterOf(engine: TinkerEngine, name: string): Promise<Record<string, HostTensor>> {
  const address = (await engine.saveForSampling(name)).split("/");
  const [model, saved] = [address[2]!, address.at(-1)!];
  const unpacked = mkdtempSync(join(tmpdir(), "guerdon-adapter-"));
  try {
    execFileSync("tar", ["-xzf", join(server.checkpoints, model, "sampler_weights", `${saved}.tar.gz`), "-C", unpacked], {
      stdio: "ignore",
    });
    return parseSafetensors(readFileSync(join(unpacked, "adapter_model.safetensors"))).tensors;
  } finally {
    rmSync(unpacked, { recursive: true });
  }
}

function largest(tensors: Readonly<Record<string, HostTensor>>, of: (name: string) => boolean): number {
  let found = 0;
  for (const [name, { data }] of Object.entries(tensors)) if (of(name)) for (const x of data) found = Math.max(found, Math.abs(x));
  return found;
}

/** The largest difference between numbers of the same name and place. */
function difference(a: Readonly<Record<string, HostTensor>>, b: Readonly<Record<string, HostTensor>>): number {
  let found = 0;
  for (const [name, { data }] of Object.entries(a)) {
    const other = b[name]?.data;
    if (other?.length !== data.length)
      throw new Error(`${name} has ${data.length} numbers in one adapter and ${other?.length ?? "none"} in the other.`);
    data.forEach((x, i) => (found = Math.max(found, Math.abs(x - other[i]!))));
  }
  return found;
}
