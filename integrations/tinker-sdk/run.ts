/**
 * The official Python SDK against `guerdon serve --engine`, and the same calls with the local engine. Run by run.sh, which makes the Python
 * environments: node --conditions=guerdon-source run.ts <SDK version ...>. Writes result.json; the exit status is 1 when a number is off.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEngineServer } from "../../scripts/engine-server.ts";
import { localEngine } from "../../src/engines/index.ts";
import type { LocalEngine, Outputs } from "../../src/engines/index.ts";
import { readModel } from "../../src/policies/index.ts";
import type { TextSequence } from "../../src/policies/index.ts";
import { below, normal, stream } from "../../src/statistics/stream.ts";
import { describeMachine } from "../../src/training/runs/machine.ts";
import { tinyModel } from "../../test/server/tinker/model.ts";

const targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const;
/** The adapter that our server makes of the SDK's rank 8 and seed 1. */
const lora = { rank: 8, alpha: 32, targets };
const update = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8 };
/** Largest difference from the local engine that is taken for rounding: nats, and shares of a gradient's norm. */
const tolerance = 1e-4;

/** A row as the driver sends it; columns have one number a predicted token, 0 on the prompt. */
interface Row {
  readonly tokens: readonly number[];
  readonly weights: readonly number[];
  readonly advantages: readonly number[];
  readonly logprobs: readonly number[];
}

/** What the driver prints. */
interface Driven {
  readonly versions: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  readonly first: readonly (readonly number[])[];
  readonly steps: readonly {
    readonly name: string;
    readonly logprobs: readonly (readonly number[])[];
    readonly metrics: Readonly<Record<string, number>>;
    readonly update: Readonly<Record<string, number>>;
  }[];
  readonly last: readonly (readonly number[])[];
  readonly loaded: readonly (readonly number[])[];
  readonly paths: Readonly<Record<string, string>>;
  readonly prompt: readonly number[];
  readonly samples: readonly { readonly tokens: readonly number[]; readonly logprobs: readonly number[]; readonly stop: string }[];
  readonly scored: readonly (number | null)[];
  readonly base: readonly (number | null)[];
}

const prompt = 3;
const rng = stream(1, "rows");
const rows: readonly Row[] = [7, 9, 12, 5].map((length) => {
  const column = (of: () => number) => Array.from({ length: length - 1 }, (_, i) => (i < prompt - 1 ? 0 : of()));
  return {
    tokens: Array.from({ length }, () => 1 + below(rng, 300)),
    weights: column(() => 1),
    advantages: column(() => normal(rng)),
    logprobs: column(() => -5.8 + 0.2 * normal(rng)),
  };
});

const model = await tinyModel();
const data = mkdtempSync(join(tmpdir(), "guerdon-sdk-"));
try {
  const server = await startEngineServer(model.folder, data);
  const results = [];
  try {
    for (const version of process.argv.slice(2)) results.push(await compared(await drive(version, server.url, server.model)));
  } finally {
    await server.stop();
  }
  const file = {
    format: "guerdon-tinker-sdk",
    version: 1,
    command: "sh integrations/tinker-sdk/run.sh",
    written: new Date().toISOString(),
    machine: describeMachine(),
    model: "random Qwen3, 1 layer of width 16, 320 tokens; LoRA of rank 8 on all projections",
    tolerance,
    sdks: results,
  };
  writeFileSync(join(import.meta.dirname, "result.json"), `${JSON.stringify(file, null, 2)}\n`);
  for (const { versions, steps, differences } of results) {
    console.log(`tinker ${versions["tinker"]}`);
    console.table(
      steps.map(({ name, loss, gradientNorm, local }) => ({ step: name, loss, "gradient norm": gradientNorm, "local engine": local })),
    );
    console.table(differences);
    for (const [what, difference] of Object.entries(differences))
      if (!(difference <= tolerance)) {
        console.error(`tinker ${versions["tinker"]}: ${what} differs by ${difference}, more than ${tolerance}.`);
        process.exitCode = 1;
      }
  }
} finally {
  model.remove();
  rmSync(data, { recursive: true, force: true });
}

async function drive(version: string, url: string, name: string): Promise<Driven> {
  const python = join(import.meta.dirname, `.venv-${version}/bin/python`);
  const printed = await new Promise<string>((done, fail) => {
    const child = execFile(
      python,
      [join(import.meta.dirname, "drive.py"), url, name],
      { timeout: 300_000, maxBuffer: 1 << 24 },
      (error, out, said) => (error ? fail(new Error(`The driver with tinker ${version} failed:\n${said}`, { cause: error })) : done(out)),
    );
    child.stdin?.end(JSON.stringify(rows));
  });
  return JSON.parse(printed) as Driven;
}

/** The driver's steps again with the local engine: what differs, at most, by name. */
async function compared(driven: Driven) {
  const { policy, parameters } = await readModel(model.folder, { lora, seed: 1 });
  const engine = await localEngine({ policy, parameters, seed: 0 });
  const sequences = rows.map(({ tokens }) => rowOf(tokens));
  const logProbs = async (): Promise<readonly Float32Array[]> => (await engine.forward(sequences))["logProbs"]!;
  const differences: Record<string, number> = { "first log-probabilities": apart(driven.first, await logProbs()) };
  const steps = [];
  for (const { name, logprobs, metrics, update: told } of driven.steps) {
    const before = await logProbs();
    differences[`log-probabilities before ${name}`] = apart(logprobs, before);
    const gradientNorm = await stepped(engine, sequences, gradientsOf(name, before));
    const theirs = Object.entries(told).find(([key]) => /grad/.test(key))?.[1] ?? Number.NaN;
    differences[`gradient norm of ${name}`] = Math.abs(theirs / gradientNorm - 1);
    steps.push({ name, loss: metrics["loss:sum"] ?? null, metrics, gradientNorm: theirs, local: gradientNorm });
  }
  const last = await logProbs();
  differences["last log-probabilities"] = apart(driven.last, last);
  differences["log-probabilities of the loaded state"] = apart(driven.loaded, last);
  const [first] = driven.samples;
  const start = Int32Array.from(driven.prompt);
  const drawn = driven.samples.map(({ tokens }) => ({ prompt: start, actions: Int32Array.from(tokens) }));
  differences["sampled log-probabilities"] = apart(
    driven.samples.map(({ logprobs }) => logprobs),
    (await engine.forward(drawn))["logProbs"]!,
  );
  const whole = [...driven.prompt, ...first!.tokens];
  differences["scored log-probabilities"] = apart([driven.scored.slice(1)], (await engine.forward([rowOf(whole)]))["logProbs"]!);
  const reader = await engine.base!();
  differences["log-probabilities of the base"] = apart(
    [driven.base.slice(1)],
    (await reader.forward([rowOf(rows[0]!.tokens)]))["logProbs"]!,
  );
  reader.dispose?.();
  engine.dispose();
  policy.dispose();
  const { versions, capabilities, samples, paths } = driven;
  return { versions, capabilities, paths, steps, samples, differences };
}

function rowOf(tokens: readonly number[]): TextSequence {
  return { prompt: Int32Array.from(tokens.slice(0, 1)), actions: Int32Array.from(tokens.slice(1)) };
}

async function stepped(engine: LocalEngine<TextSequence>, sequences: readonly TextSequence[], logProbs: Outputs[string]): Promise<number> {
  await engine.backward(sequences, { logProbs });
  return (await engine.update(update)).gradientNorm;
}

/** The gradient of a driver's loss with respect to the log-probabilities, worked out by hand. */
function gradientsOf(name: string, at: readonly Float32Array[]): Float32Array[] {
  return rows.map(({ weights, advantages, logprobs }, i) => {
    const p = at[i]!;
    const mean = p.reduce((sum, x) => sum + x, 0) / p.length;
    return p.map((x, j) => {
      const ratio = Math.exp(x - logprobs[j]!);
      const [w, a] = [weights[j]!, advantages[j]!];
      if (name === "cross_entropy") return -w;
      if (name === "importance_sampling") return -w * ratio * a;
      // The smaller of the two products; the clipped one has no slope.
      if (name === "ppo") return Math.min(Math.max(ratio, 0.8), 1.2) * a < ratio * a ? 0 : -w * ratio * a;
      if (name === "custom") return (2 * (mean + 4)) / p.length;
      throw new Error(`The driver has no step ${name}.`);
    });
  });
}

/** The largest difference between numbers of one place. */
function apart(a: readonly (readonly (number | null)[])[], b: readonly Float32Array[]): number {
  if (a.length !== b.length || a.some((row, i) => row.length !== b[i]!.length)) return Infinity;
  return Math.max(...a.flatMap((row, i) => row.map((x, j) => (x === null ? Infinity : Math.abs(x - b[i]![j]!)))));
}
