import { clip, compile, concat, exp, logSoftmax, matmul, oneHot, readAll, square, tanh } from "../arrays/index.ts";
import type { Arr, Arrays, HostArray } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import type { HostTensor } from "../statistics/snapshot.ts";
import { normal, stream } from "../statistics/stream.ts";
import type { Rng } from "../statistics/stream.ts";
import { drawer } from "./draw.ts";
import type { ControlSequence, Parameters, Policy } from "./policy.ts";
import { scoreOutputs } from "./scores.ts";
import { paddedRows } from "./shapes.ts";

export interface MlpConfig {
  /** Numbers in one observation. */
  readonly observations: number;
  readonly actions:
    | {
        readonly kind: "gaussian";
        /** Numbers in one action. */
        readonly size: number;
        /** One learned log standard deviation an action number, or a head of the network. Default "parameter". */
        readonly deviation?: "parameter" | "head";
      }
    | { readonly kind: "categorical"; readonly count: number };
  /** Widths of the hidden layers (tanh), of each network. */
  readonly hidden: readonly number[];
  /** Adds the output "value", from a network of its own on the observation. */
  readonly value?: boolean;
  /** Adds the output "score", from a network of its own on observation and action: a reward model. A number above 1: so many scores. */
  readonly score?: boolean | number;
}

/** What a policy did in a batch of observations. */
export interface Acted {
  /** [B, size] flat, or [B] action numbers. */
  readonly actions: Float32Array;
  /** [B] */
  readonly logProbs: Float32Array;
  /** [B], with a value network. */
  readonly value?: Float32Array;
}

export interface MlpPolicy extends Policy<ControlSequence> {
  readonly architecture: MlpConfig;
  /**
   * One action for each of B observations, in one call of a compiled program (B is padded to a power of two).
   *
   * @param observations [B, observations] flat
   * @param rngs one stream an observation, so that a batch's make-up does not change what is drawn; absent: the most likely action
   */
  act(parameters: Parameters, observations: Float32Array, rngs?: readonly Rng[]): Promise<Acted>;
}

/** A head's log standard deviation is kept within these. */
const logDeviations = { low: -5, high: 2 };

/**
 * A policy for control: fully connected networks on one observation at a time. A Gaussian action's "logProbs" and "entropy" are summed over its
 * numbers; an entry is one time step. Networks do not share layers.
 *
 * It acts through `act`, driven by a simulator; `sample`, which answers tasks in text, throws "unsupported".
 */
export function mlp(config: MlpConfig): MlpPolicy {
  const { observations: O, actions, hidden } = config;
  for (const [name, n] of [
    ["observations", O],
    ...hidden.map((h, i) => [`hidden[${i}]`, h] as const),
    ["actions", actions.kind === "gaussian" ? actions.size : actions.count],
    ["score", Number(config.score || 1)],
  ] as const)
    if (!Number.isInteger(n) || n < 1) throw new GuerdonError("usage", `mlp: ${name} must be a whole number of at least 1, not ${n}.`);
  /** Numbers that one action takes in a row. */
  const perAction = actions.kind === "gaussian" ? actions.size : 1;
  const ownDeviation = actions.kind === "gaussian" && actions.deviation !== "head";
  const policyOutputs = actions.kind === "categorical" ? actions.count : ownDeviation ? actions.size : 2 * actions.size;
  const actionFeatures = actions.kind === "categorical" ? actions.count : actions.size;
  const networks: Readonly<Record<string, readonly number[]>> = {
    policy: [O, ...hidden, policyOutputs],
    ...(config.value ? { value: [O, ...hidden, 1] } : {}),
    ...(config.score ? { score: [O + actionFeatures, ...hidden, Number(config.score)] } : {}),
  };
  const scores = scoreOutputs(config.score ?? false);
  const outputs = ["logProbs", "entropy", ...(config.value ? ["value"] : []), ...scores];

  /** [B, inputs] -> [B, outputs] */
  function network(name: string, parameters: Arrays, x: Arr): Arr {
    const layers = networks[name]!.length - 1;
    for (let i = 0; i < layers; i++) {
      x = matmul(x, parameters[`${name}.${i}.weight`]!).add(parameters[`${name}.${i}.bias`]!);
      if (i + 1 < layers) x = tanh(x);
    }
    return x;
  }

  /** Parameters of the action distributions of observations [B, O]: { logits } or { mean, logDeviation }, [B, ..] each. */
  function distribution(parameters: Arrays, x: Arr): { logits: Arr } | { mean: Arr; logDeviation: Arr } {
    const out = network("policy", parameters, x);
    if (actions.kind === "categorical") return { logits: logSoftmax(out) };
    return ownDeviation
      ? { mean: out, logDeviation: x.slice(1, 0, 1).mul(0).add(parameters["policy.logDeviation"]!) }
      : {
          mean: out.slice(1, 0, actions.size),
          logDeviation: clip(out.slice(1, actions.size, 2 * actions.size), logDeviations.low, logDeviations.high),
        };
  }

  const acting = compile((parameters: Arrays, observations: Arr): Record<string, Arr> => ({
    ...distribution(parameters, observations),
    ...(config.value ? { value: network("value", parameters, observations) } : {}),
  }));

  return {
    family: "mlp",
    architecture: config,
    outputs,
    config: JSON.parse(JSON.stringify({ family: "mlp", ...config })),
    trainable: () => true,
    actions: (row) => row.actions.length / perAction,
    cells: (row) => row.actions.length / perAction,
    start: () => 0,
    begin: () => ({ observations: new Float32Array(0), actions: new Float32Array(0) }),

    /** Weights N(0, 1 / inputs), those of the policy's last layer a hundredth of it, so that it starts close to the same in all states. */
    init(seed) {
      const made: Record<string, HostTensor> = {};
      for (const [name, sizes] of Object.entries(networks))
        for (let i = 0; i + 1 < sizes.length; i++) {
          const [from, to] = [sizes[i]!, sizes[i + 1]!];
          const rng = stream(seed, "mlp", name, i);
          const scale = (name === "policy" && i + 2 === sizes.length ? 0.01 : 1) / Math.sqrt(from);
          made[`${name}.${i}.weight`] = { shape: [from, to], data: Float32Array.from({ length: from * to }, () => scale * normal(rng)) };
          made[`${name}.${i}.bias`] = { shape: [to], data: new Float32Array(to) };
        }
      if (ownDeviation) made["policy.logDeviation"] = { shape: [actions.size], data: new Float32Array(actions.size) };
      return made;
    },

    collate(rows, N, T) {
      const observations = new Float32Array(N * T * O);
      const flat = actions.kind === "gaussian" ? new Float32Array(N * T * perAction) : new Int32Array(N * T);
      rows.forEach((row, n) => {
        checkRow(row, n);
        observations.set(row.observations, n * T * O);
        flat.set(row.actions, n * T * perAction);
      });
      return {
        observations: { shape: [N, T, O], data: observations },
        actions: { shape: actions.kind === "gaussian" ? [N, T, perAction] : [N, T], data: flat },
      };
    },

    apply(parameters, inputs, names) {
      const [N, T] = inputs["observations"]!.shape as [number, number];
      const x = inputs["observations"]!.reshape([N * T, O]);
      const taken = inputs["actions"]!.reshape(actions.kind === "gaussian" ? [N * T, perAction] : [N * T]);
      const of = distribution(parameters, x);
      const compute: Record<string, () => Arr> = {
        logProbs: () =>
          "logits" in of ? of.logits.mul(oneHot(taken, actionFeatures)).sum(1) : gaussianLogProb(taken, of.mean, of.logDeviation),
        entropy: () =>
          "logits" in of ? exp(of.logits).mul(of.logits).sum(1).neg() : of.logDeviation.add(0.5 * Math.log(2 * Math.PI * Math.E)).sum(1),
        value: () => network("value", parameters, x),
      };
      if (names.some((name) => scores.includes(name))) {
        const all = network("score", parameters, concat([x, "logits" in of ? oneHot(taken, actionFeatures) : taken], 1));
        scores.forEach((name, k) => (compute[name] = () => all.slice(1, k, k + 1)));
      }
      return Object.fromEntries(names.map((name) => [name, compute[name]!().reshape([N, T])]));
    },

    async sample() {
      throw new GuerdonError(
        "unsupported",
        "An mlp policy acts in a simulator: use act(parameters, observations, rngs). sample() is for policies that answer tasks.",
      );
    },

    async act(parameters, observations, rngs) {
      const B = observations.length / O;
      if (!Number.isInteger(B) || (rngs && rngs.length !== B))
        throw new GuerdonError(
          "usage",
          `act: ${observations.length} numbers are not observations of ${O} numbers, with one stream each (there are ${rngs?.length ?? "no"} streams).`,
        );
      const rows = paddedRows(B);
      const padded = new Float32Array(rows * O);
      padded.set(observations);
      const made = acting.run(parameters, { shape: [rows, O], data: padded } satisfies HostArray);
      const read = await readAll(made);
      for (const tensor of Object.values(made)) tensor.dispose();
      const drawn =
        actions.kind === "categorical"
          ? drawCategorical(read["logits"]!.data, B, rngs)
          : drawGaussian(read["mean"]!.data, read["logDeviation"]!.data, B, rngs);
      return { ...drawn, ...(config.value ? { value: Float32Array.from(read["value"]!.data.subarray(0, B)) } : {}) };
    },

    dispose: () => acting.dispose(),
  };

  function checkRow(row: ControlSequence, n: number): void {
    const steps = row.actions.length / perAction;
    if (!Number.isInteger(steps) || row.observations.length !== steps * O)
      throw new GuerdonError(
        "input",
        `Row ${n} has ${row.observations.length} observation numbers and ${row.actions.length} action numbers; each step needs ${O} and ${perAction}.`,
      );
    if (actions.kind === "categorical")
      row.actions.forEach((a, j) => {
        if (!(Number.isInteger(a) && a >= 0 && a < actions.count))
          throw new GuerdonError("input", `Row ${n}, step ${j}: action ${a} is not a whole number below ${actions.count}.`);
      });
  }

  function drawCategorical(logits: ArrayLike<number>, B: number, rngs: readonly Rng[] | undefined): Acted {
    const draw = drawer(actionFeatures, { temperature: rngs ? 1 : 0, topK: 0, topP: 1 });
    const out = { actions: new Float32Array(B), logProbs: new Float32Array(B) };
    for (let b = 0; b < B; b++) {
      const { token } = draw(logits, b, rngs?.[b] ?? noDraw);
      out.actions[b] = token;
      out.logProbs[b] = logits[b * actionFeatures + token]!;
    }
    return out;
  }

  function drawGaussian(mean: ArrayLike<number>, logDeviation: ArrayLike<number>, B: number, rngs: readonly Rng[] | undefined): Acted {
    const out = { actions: new Float32Array(B * perAction), logProbs: new Float32Array(B) };
    for (let b = 0; b < B; b++) {
      let logProb = 0;
      for (let k = b * perAction; k < (b + 1) * perAction; k++) {
        const z = rngs ? normal(rngs[b]!) : 0;
        const deviation = Math.exp(logDeviation[k]!);
        out.actions[k] = mean[k]! + deviation * z;
        // Of the action as stored, in float32: the one that training will see.
        logProb -= 0.5 * ((out.actions[k]! - mean[k]!) / deviation) ** 2 + logDeviation[k]! + 0.5 * Math.log(2 * Math.PI);
      }
      out.logProbs[b] = logProb;
    }
    return out;
  }
}

/** The most likely action takes no random number. */
const noDraw: Rng = () => 0;

/** Log-density of a Gaussian with independent numbers, summed over them: [B, size] -> [B]. */
function gaussianLogProb(x: Arr, mean: Arr, logDeviation: Arr): Arr {
  const z = x.sub(mean).mul(exp(logDeviation.neg()));
  return square(z)
    .mul(0.5)
    .add(logDeviation)
    .add(0.5 * Math.log(2 * Math.PI))
    .sum(1)
    .neg();
}
