import { GuerdonError } from "../error.ts";
import type { Outputs, Sampled, SampleOptions, SampleRequest } from "../engines/engine.ts";
import type { Finite } from "../environments/toy/index.ts";
import { drawer } from "./draw.ts";
import type { HostParameters, HostPolicy } from "./host-policy.ts";
import type { StateSequence } from "./policy.ts";

export interface SoftmaxOptions {
  /** The logits at zero weights, for instance a reference policy's log-probabilities. -Infinity forbids an action. Default 0. */
  readonly base?: (state: number, action: number) => number;
  /** One vector of fixed length a state and action; without it every state and action has its own weight (a table). */
  readonly features?: (state: number, action: number) => ArrayLike<number>;
  /** Multiplies the weighted features; 1/beta makes the weights an implicit reward. Default 1. */
  readonly gain?: number;
  /** Changes the weights in place after each update, for instance back into a ball: a bounded policy class. */
  readonly project?: (weights: Float64Array) => void;
  /** Adds the output "value": a second table with one number a state. */
  readonly values?: boolean;
  /** Adds the output "score": a table with one number a state and action, a reward model. */
  readonly scores?: boolean;
}

/** A softmax policy over a finite process, with what only a finite policy can say. */
export interface SoftmaxPolicy extends HostPolicy<StateSequence> {
  readonly process: Finite;
  /** Probability of each action in a state. */
  probs(parameters: HostParameters, state: number): Float64Array;
  /** Adds sum_a dLogits[a] * d logits[state, a] / d weights to `into`. */
  addLogitGradient(state: number, dLogits: Float64Array, into: Float64Array): void;
}

/**
 * The linear-softmax policy: logits[s, a] = base[s, a] + gain * sum_k features[s, a, k] * weights[k]; without features
 * logits[s, a] = base[s, a] + gain * weights[s, a]. Weights start at zero. Bandits, locks, one-parameter policies and factored token
 * policies are all this one thing. Cost: a state's softmax is computed once a call.
 */
export function softmaxPolicy(process: Finite, options: SoftmaxOptions = {}): SoftmaxPolicy {
  const { base, features, gain = 1, project, values = false, scores = false } = options;
  const S = process.states;
  const A = process.actions;
  const phi = features ? tabulate(process, features) : null;
  const K = phi ? phi.length / (S * A) : S * A;
  const baseLogits = new Float64Array(S * A);
  if (base) for (let s = 0; s < S; s++) for (let a = 0; a < A; a++) baseLogits[s * A + a] = base(s, a);

  /** Log-probabilities of all actions in a state, written to `out` at `at`. */
  function logSoftmaxOf(weights: Float64Array, state: number, out: Float64Array, at: number): void {
    let top = -Infinity;
    for (let a = 0; a < A; a++) {
      const cell = state * A + a;
      let logit = 0;
      if (phi) for (let k = 0; k < K; k++) logit += phi[cell * K + k]! * weights[k]!;
      else logit = weights[cell]!;
      out[at + a] = logit = baseLogits[cell]! + gain * logit;
      if (logit > top) top = logit;
    }
    let total = 0;
    for (let a = 0; a < A; a++) total += Math.exp(out[at + a]! - top);
    const normaliser = top + Math.log(total);
    for (let a = 0; a < A; a++) out[at + a]! -= normaliser;
  }

  // Log-probabilities and entropies by state, filled on first use within a call: parameters change between calls, not within.
  const table = new Float64Array(S * A);
  const entropies = new Float64Array(S);
  const filled = new Int32Array(S);
  let call = 0;
  function visit(weights: Float64Array, state: number): void {
    if (filled[state] === call) return;
    filled[state] = call;
    logSoftmaxOf(weights, state, table, state * A);
    let entropy = 0;
    for (let a = 0; a < A; a++) {
      const l = table[state * A + a]!;
      if (l > -Infinity) entropy -= Math.exp(l) * l;
    }
    entropies[state] = entropy;
  }

  function addLogitGradient(state: number, dLogits: Float64Array, into: Float64Array): void {
    for (let a = 0; a < A; a++) {
      const d = gain * dLogits[a]!;
      if (d === 0) continue;
      const cell = state * A + a;
      if (phi) for (let k = 0; k < K; k++) into[k]! += d * phi[cell * K + k]!;
      else into[cell]! += d;
    }
  }

  /** One output of an action in a state. */
  function outputAt(parameters: HostParameters, name: string, state: number, action: number): number {
    if (name === "value") return parameters["values"]![state]!;
    if (name === "score") return parameters["scores"]![state * A + action]!;
    visit(parameters["weights"]!, state);
    return name === "entropy" ? entropies[state]! : table[state * A + action]!;
  }

  function outputsOf(parameters: HostParameters, rows: readonly StateSequence[], names: readonly string[]): Outputs {
    call++;
    for (const row of rows) check(process, row);
    return Object.fromEntries(
      names.map((name) => [
        name,
        rows.map(({ states, actions }) => {
          const out = new Float32Array(actions.length);
          for (let j = 0; j < out.length; j++) out[j] = outputAt(parameters, name, states[j]!, actions[j]!);
          return out;
        }),
      ]),
    );
  }

  function walk(
    parameters: HostParameters,
    request: SampleRequest<StateSequence>,
    o: SampleOptions,
    draw: ReturnType<typeof drawer>,
  ): Sampled<StateSequence> {
    const { rng, from } = request;
    const states = from ? [...from.states] : [];
    const actions = from ? [...from.actions] : [];
    const logProbs: number[] = [];
    const recorded = Object.fromEntries((o.record ?? []).map((name) => [name, [] as number[]]));
    let state = actions.length > 0 ? process.next(states.at(-1)!, actions.at(-1)!, rng) : process.start(taskNumber(process, request));
    while (state >= 0 && actions.length < process.horizon && logProbs.length < o.maxActions) {
      visit(parameters["weights"]!, state);
      const { token: action, logProb } = draw(table, state, rng);
      states.push(state);
      actions.push(action);
      logProbs.push(logProb);
      for (const name in recorded) recorded[name]!.push(outputAt(parameters, name, state, action));
      state = process.next(state, action, rng);
    }
    return {
      row: { states: Int32Array.from(states), actions: Int32Array.from(actions) },
      logProbs: Float32Array.from(logProbs),
      ...(o.record ? { recorded: Object.fromEntries(Object.entries(recorded).map(([k, v]) => [k, Float32Array.from(v)])) } : {}),
      stop: state < 0 ? "stop" : "length",
    };
  }

  return {
    family: "softmax",
    process,
    outputs: ["logProbs", "entropy", ...(values ? ["value"] : []), ...(scores ? ["score"] : [])],
    config: { family: "softmax", process: process.name, states: S, actions: A, weights: K, gain, values, scores },
    init: () => ({
      weights: { shape: [K], data: new Float32Array(K) },
      ...(values ? { values: { shape: [S], data: new Float32Array(S) } } : {}),
      ...(scores ? { scores: { shape: [S * A], data: new Float32Array(S * A) } } : {}),
    }),
    actions: (row) => row.actions.length,
    forward: outputsOf,
    backward(parameters, rows, gradients, into) {
      const outputs = outputsOf(parameters, rows, Object.keys(gradients));
      const weights = parameters["weights"]!;
      const { logProbs, entropy, value, score } = gradients;
      // By state first: many actions are taken in few states, and what a state's softmax costs is then paid once.
      const visited = new Map<number, { logProb: number; entropy: number; readonly taken: Float64Array }>();
      rows.forEach(({ states, actions }, i) => {
        for (let j = 0; j < actions.length; j++) {
          const state = states[j]!;
          if (value) into["values"]![state]! += value[i]![j]!;
          if (score) into["scores"]![state * A + actions[j]!]! += score[i]![j]!;
          if (!logProbs && !entropy) continue;
          let sums = visited.get(state);
          if (!sums) visited.set(state, (sums = { logProb: 0, entropy: 0, taken: new Float64Array(A) }));
          const ofLogProb = logProbs?.[i]![j] ?? 0;
          sums.logProb += ofLogProb;
          sums.taken[actions[j]!]! += ofLogProb;
          sums.entropy += entropy?.[i]![j] ?? 0;
        }
      });
      for (const [state, { logProb, entropy: ofEntropy, taken: d }] of visited) {
        visit(weights, state);
        // d log p[taken] / d logit[a] = [a taken] - p[a];  d entropy / d logit[a] = -p[a] (log p[a] + entropy)
        for (let a = 0; a < A; a++) {
          const l = table[state * A + a]!;
          const p = Math.exp(l);
          if (p > 0) d[a]! -= p * (logProb + (ofEntropy === 0 ? 0 : ofEntropy * (l + entropies[state]!)));
        }
        addLogitGradient(state, d, into["weights"]!);
      }
      return outputs;
    },
    sample(parameters, requests, sampling) {
      call++;
      const { temperature = 1, topK = 0, topP = 1 } = sampling;
      const draw = drawer(A, { temperature, topK, topP }, true);
      return requests.map((request) => walk(parameters, request, sampling, draw));
    },
    ...(project ? { project: (parameters: HostParameters) => project(parameters["weights"]!) } : {}),
    probs(parameters, state) {
      const out = new Float64Array(A);
      logSoftmaxOf(parameters["weights"]!, state, out, 0);
      return out.map(Math.exp);
    },
    addLogitGradient,
  };
}

/** All feature vectors as one [S, A, K] array. */
function tabulate(process: Finite, features: (state: number, action: number) => ArrayLike<number>): Float64Array {
  const A = process.actions;
  const K = features(0, 0).length;
  const phi = new Float64Array(process.states * A * K);
  for (let s = 0; s < process.states; s++)
    for (let a = 0; a < A; a++) {
      const vector = features(s, a);
      if (vector.length !== K)
        throw new GuerdonError(
          "usage",
          `features(${s}, ${a}) has ${vector.length} numbers and features(0, 0) has ${K}; all vectors must have one length.`,
        );
      for (let k = 0; k < K; k++) phi[(s * A + a) * K + k] = vector[k]!;
    }
  return phi;
}

function check(process: Finite, { states, actions }: StateSequence): void {
  if (states.length !== actions.length)
    throw new GuerdonError(
      "input",
      `A walk has ${states.length} states and ${actions.length} actions; each action needs the state it was taken in.`,
    );
  for (let j = 0; j < actions.length; j++)
    if (!(states[j]! >= 0 && states[j]! < process.states && actions[j]! >= 0 && actions[j]! < process.actions))
      throw new GuerdonError(
        "input",
        `Step ${j} of a walk has state ${states[j]} and action ${actions[j]}; the process "${process.name}" has ${process.states} states and ${process.actions} actions.`,
      );
}

function taskNumber(process: Finite, { task }: SampleRequest<StateSequence>): number {
  const number = task.prompt;
  if (typeof number !== "number" || !Number.isInteger(number) || number < 0 || number >= process.tasks)
    throw new GuerdonError(
      "input",
      `The prompt of task "${task.id}" must be a task number from 0 to ${process.tasks - 1} of the process "${process.name}" (finiteTasks makes them).`,
    );
  return number;
}
