import { compile, matmul, settle, startArrays, upload } from "../src/arrays/index.ts";
import type { Arr, HostArray } from "../src/arrays/index.ts";
import type { Examples } from "../src/credit/examples.ts";
import { localEngine } from "../src/engines/index.ts";
import type { LocalEngine, UpdateOptions } from "../src/engines/index.ts";
import { clippedSurrogate, combine, klPenalty, sft } from "../src/objectives/index.ts";
import type { Objective } from "../src/objectives/index.ts";
import type { TextSequence } from "../src/policies/policy.ts";
import { symbolTokenizer } from "../src/policies/tokenizer.ts";
import { transformer } from "../src/policies/transformer.ts";
import { below, normal, stream } from "../src/statistics/stream.ts";
import { step } from "../src/training/step.ts";

/** Shape of a benchmark model: RMSNorm, learned positions, GELU, untied output, no biases, as in peer.py. */
interface Shape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly vocabulary: number;
  readonly context: number;
}

/** Everything that is measured; peer.py reads the same object. */
export interface Plan {
  readonly repeats: number;
  /** Side of the square matrices. */
  readonly matmul: number;
  readonly model: Shape;
  readonly rows: number;
  readonly tokens: number;
  readonly sampling: { readonly rows: number; readonly prompt: number; readonly tokens: number };
  /** Positions of each row, prompt included. */
  readonly ragged: { readonly model: Shape; readonly lengths: readonly number[] };
  readonly memory: { readonly model: Shape; readonly rows: number; readonly tokens: number; readonly steps: number };
}

/** Quantiles of a log-normal distribution: 64 rows, 2,771 positions, the longest 182. */
const lengths = [
  6, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 18, 19, 20, 20, 21, 22, 23, 23, 24, 25, 26, 26, 27, 28, 29, 30, 30, 31, 32, 33, 34, 35, 36, 37,
  38, 39, 40, 41, 42, 43, 45, 46, 47, 49, 50, 52, 54, 56, 58, 60, 62, 65, 67, 71, 74, 78, 83, 88, 95, 104, 116, 136, 182,
];
const shape = (layers: number, width: number, context: number): Shape => ({ layers, width, heads: 4, vocabulary: 32, context });

export const fullPlan: Plan = {
  repeats: 9,
  matmul: 512,
  model: shape(4, 128, 128),
  rows: 32,
  tokens: 64,
  sampling: { rows: 64, prompt: 8, tokens: 64 },
  ragged: { model: shape(2, 64, 192), lengths },
  memory: { model: shape(1, 32, 32), rows: 16, tokens: 24, steps: 500 },
};

/** The same measurements in a few seconds, to see that they work. Their numbers mean nothing. */
export const tinyPlan: Plan = {
  repeats: 2,
  matmul: 64,
  model: shape(1, 16, 32),
  rows: 4,
  tokens: 16,
  sampling: { rows: 4, prompt: 4, tokens: 8 },
  ragged: { model: shape(1, 16, 32), lengths: [6, 20, 9, 32] },
  memory: { model: shape(1, 16, 16), rows: 4, tokens: 8, steps: 20 },
};

export interface Measured {
  /** GFLOP/s. */
  readonly matmul: number;
  /** CPU milliseconds a step, one call. */
  readonly sft: number;
  /** CPU milliseconds a step, two calls. */
  readonly surrogate: number;
  /** Tokens a CPU second. */
  readonly sampling: number;
  /** CPU milliseconds a step, two calls. */
  readonly ragged: number;
  /** MiB that the process grew by over the steps, after as many to settle. */
  readonly growth: number;
}

const update: UpdateOptions = { learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clipNorm: 1, weightDecay: 0.01 };
const tokenMean = { aggregation: "token-mean", divisor: null } as const;
const imitation = sft(tokenMean);
const surrogate = combine({
  surrogate: clippedSurrogate({ low: 0.2, high: 0.2, ...tokenMean }),
  kl: klPenalty({ estimator: "k3", coefficient: 0.01, ...tokenMean }),
});

/** Measures everything of the plan on one thread of the processor. Memory comes first, while the process is small. */
export async function measure(plan: Plan, tell: (what: string) => void): Promise<Measured> {
  await startArrays({ device: "wasm", threads: 1 });
  tell(`memory over ${plan.memory.steps} steps`);
  const growth = await memoryGrowth(plan);
  tell("matrix product");
  const product = await matrixProduct(plan);
  const { engine, dispose } = await engineOf(plan.model);
  const dense = await batch(engine, Array<number>(plan.rows).fill(plan.tokens));
  tell("one-call step");
  const one = await cpuMilliseconds(plan.repeats, () => take(engine, dense, imitation));
  tell("two-call step");
  const two = await cpuMilliseconds(plan.repeats, () => take(engine, dense, surrogate));
  tell("sampling");
  const sampling = await samplingRate(plan, engine);
  dispose();
  tell("ragged step");
  const ragged = await raggedStep(plan);
  return { matmul: product, sft: one, surrogate: two, sampling, ragged, growth };
}

/** What the processor's clock tells apart at best: no call counts as less, so that no rate is infinite. */
const leastMs = 1e-3;

/** Median CPU time of this process for one call, after two calls that compile and warm up. */
async function cpuMilliseconds(repeats: number, f: () => Promise<unknown>): Promise<number> {
  for (let i = 0; i < 2; i++) await f();
  const times: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const before = process.cpuUsage();
    await f();
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1000);
  }
  return Math.max(leastMs, times.sort((a, b) => a - b)[repeats >> 1]!);
}

async function matrixProduct({ matmul: n, repeats }: Plan): Promise<number> {
  const rng = stream(0, "matrix");
  const matrix = (): HostArray => ({ shape: [n, n], data: Float32Array.from({ length: n * n }, () => normal(rng)) });
  const [a, b] = [upload(matrix()), upload(matrix())];
  const program = compile((x: Arr, y: Arr) => ({ product: matmul(x, y) }));
  const milliseconds = await cpuMilliseconds(5 * repeats, async () => {
    const { product } = program.run(a, b);
    await settle({ product });
    product.dispose();
  });
  for (const tensor of [a, b]) tensor.dispose();
  program.dispose();
  return (2 * n ** 3) / (milliseconds * 1e6);
}

async function engineOf(model: Shape): Promise<{ engine: LocalEngine<TextSequence>; dispose: () => void }> {
  // No end token: every sample has its full length.
  const tokenizer = symbolTokenizer(Array.from({ length: model.vocabulary }, (_, i) => `t${i}`));
  const policy = transformer({ ...model, norm: "rms", positions: "learned", activation: "gelu", tied: false }, { tokenizer });
  const engine = await localEngine({ policy, seed: 0, threads: 1 });
  return {
    engine,
    dispose() {
      engine.dispose();
      policy.dispose();
    },
  };
}

/** Rows of random tokens, one prompt token each, with the columns of the surrogate near the present policy. */
async function batch(engine: LocalEngine<TextSequence>, positions: readonly number[]): Promise<Examples> {
  const rng = stream(0, "batch");
  const ids = (n: number) => Int32Array.from({ length: n }, () => below(rng, 32));
  const rows = positions.map((n) => ({ prompt: ids(1), actions: ids(n - 1) }));
  const offsets = new Int32Array(rows.length + 1);
  for (let i = 0; i < rows.length; i++) offsets[i + 1] = offsets[i]! + rows[i]!.actions.length;
  const { logProbs = [] } = await engine.forward(rows);
  const noisy = (scale: number) => Float32Array.from(logProbs.flatMap((row) => Array.from(row, (x) => x + scale * normal(rng))));
  const cells = offsets[rows.length]!;
  return {
    rows,
    offsets,
    mask: new Float32Array(cells).fill(1),
    weight: new Float32Array(rows.length).fill(1),
    token: { behaviour: noisy(0.1), reference: noisy(0.1), advantage: Float32Array.from({ length: cells }, () => normal(rng)) },
    row: {},
  };
}

const take = (engine: LocalEngine<TextSequence>, examples: Examples, objective: Objective) =>
  step(engine, [{ examples, objective }], update);

async function samplingRate({ sampling: { rows, prompt, tokens }, repeats }: Plan, engine: LocalEngine<TextSequence>): Promise<number> {
  const requests = Array.from({ length: rows }, (_, i) => {
    const words = Array.from({ length: prompt }, (__, j) => `t${(7 * i + j) % 32}`).join(" ");
    return { task: { id: String(i), prompt: words }, group: String(i) };
  });
  let round = 0;
  const milliseconds = await cpuMilliseconds(repeats, () => {
    round++;
    return engine.sample(
      requests.map((request, i) => ({ ...request, rng: stream(0, "sample", round, i) })),
      { maxActions: tokens },
    );
  });
  return (1000 * rows * tokens) / milliseconds;
}

async function raggedStep(plan: Plan): Promise<number> {
  const { engine, dispose } = await engineOf(plan.ragged.model);
  const rows = await batch(engine, plan.ragged.lengths);
  const milliseconds = await cpuMilliseconds(plan.repeats, () => take(engine, rows, surrogate));
  dispose();
  return milliseconds;
}

/** Over the second half of twice the steps: in the first the garbage collector settles on the size of its heap. */
async function memoryGrowth({ memory: { model, rows, tokens, steps } }: Plan): Promise<number> {
  const { engine, dispose } = await engineOf(model);
  const examples = await batch(engine, Array<number>(rows).fill(tokens));
  let settled = 0;
  for (let i = 0; i < 2 * steps; i++) {
    if (i === steps) settled = process.memoryUsage().rss;
    await take(engine, examples, surrogate);
  }
  const growth = process.memoryUsage().rss - settled;
  dispose();
  return growth / 2 ** 20;
}
