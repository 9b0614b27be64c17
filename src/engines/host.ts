import { GuerdonError } from "../error.ts";
import type { HostParameters, HostPolicy } from "../policies/host-policy.ts";
import type { HostTensor, Snapshot } from "../statistics/snapshot.ts";
import { checkGradients, checkNames, checkUpdate, nonFiniteGradient, nothingToUpdate, pendingGradient } from "./checks.ts";
import type { Engine, SampleOptions, SampleRequest, UpdateOptions } from "./engine.ts";
import { frozenCopy, toRollouts, type Sampler } from "./rollouts.ts";
import { countersOf, engineSnapshot } from "./snapshots.ts";

export interface HostEngine<X> extends Engine<X> {
  readonly policy: HostPolicy<X>;
  /** The parameters as they are now. Writing to them, between steps, moves the policy. */
  readonly parameters: HostParameters;
}

export interface HostEngineOptions<X> {
  readonly policy: HostPolicy<X>;
  /** Seeds fresh parameters. Default 0. */
  readonly seed?: number;
  /** Instead of fresh ones. */
  readonly parameters?: Readonly<Record<string, HostTensor>>;
  /**
   * "adamw" as the other engines, or "sgd": parameters minus learningRate times the (clipped) gradient; then beta1, beta2 and epsilon do
   * not matter. Default "adamw".
   */
  readonly optimizer?: "adamw" | "sgd";
}

let engines = 0;

/**
 * An engine in plain float64 loops, for policies with a hand-written derivative: a step on a bandit takes microseconds, so a claim can
 * afford thousands. Parameters and moments are bit-exact through snapshot and restore.
 */
export function hostEngine<X>(options: HostEngineOptions<X>): HostEngine<X> {
  const { policy, seed = 0, optimizer = "adamw" } = options;
  const initial = options.parameters ?? policy.init(seed);
  const shapes = Object.fromEntries(Object.entries(initial).map(([name, t]) => [name, t.shape]));
  const like = (): Record<string, Float64Array> =>
    Object.fromEntries(Object.entries(initial).map(([name, t]) => [name, new Float64Array(t.data.length)]));

  const number = ++engines;
  let restores = 0;
  let weightsVersion = 0;
  let optimizerStep = 0;
  const parameters = Object.fromEntries(Object.entries(initial).map(([name, t]) => [name, Float64Array.from(t.data)]));
  const first = like();
  const second = like();
  const gradient = like();
  let pending = false;

  const owner = { engine: "host", family: policy.family, frozen: "" };
  const names = Object.keys(parameters);
  const clear = (): void => {
    for (const name of names) gradient[name]!.fill(0);
    pending = false;
  };
  /** Forward and sample with these parameters; `as` is what rollouts are marked with. */
  const reader = (of: HostParameters, who: string, as: () => Sampler) => ({
    outputs: policy.outputs,
    async forward(rows: readonly X[], wanted: readonly string[] = ["logProbs"]) {
      checkNames(policy.outputs, wanted, who);
      return policy.forward(of, rows, wanted);
    },
    async sample(requests: readonly SampleRequest<X>[], o: SampleOptions) {
      checkNames(policy.outputs, o.record ?? [], who);
      return toRollouts(as(), requests, policy.sample(of, requests, o), o, (row) => policy.actions(row));
    },
  });

  const engine: HostEngine<X> = {
    ...reader(parameters, "This engine", () => engine),
    policy,
    get id() {
      return `host-${number}${restores > 0 ? `.${restores}` : ""}`;
    },
    get weightsVersion() {
      return weightsVersion;
    },
    parameters,

    async backward(rows, gradients) {
      checkNames(policy.outputs, Object.keys(gradients), "This engine");
      checkGradients(rows, gradients, (row) => policy.actions(row));
      const outputs = policy.backward(parameters, rows, gradients, gradient);
      pending = true;
      return outputs;
    },

    async update(o) {
      if (!pending) throw nothingToUpdate(engine.id);
      checkUpdate(o);
      let squares = 0;
      for (const name of names) for (const g of gradient[name]!) squares += g * g;
      const gradientNorm = Math.sqrt(squares);
      if (!Number.isFinite(gradientNorm)) {
        const where = names.find((name) => !gradient[name]!.every(Number.isFinite)) ?? "its norm overflows";
        clear();
        throw nonFiniteGradient(engine.id, where);
      }
      optimizerStep++;
      const scale = typeof o.clipNorm === "number" && gradientNorm > o.clipNorm ? o.clipNorm / gradientNorm : 1;
      for (const name of names) {
        if (optimizer === "sgd") descend(parameters[name]!, gradient[name]!, scale * o.learningRate);
        else adamw(parameters[name]!, gradient[name]!, first[name]!, second[name]!, scale, optimizerStep, o, shapes[name]!.length > 1);
      }
      policy.project?.(parameters);
      clear();
      weightsVersion++;
      return { gradientNorm };
    },

    async discard() {
      clear();
    },

    async freeze() {
      const copy = Object.fromEntries(names.map((name) => [name, parameters[name]!.slice()]));
      const as = frozenCopy(engine);
      return reader(copy, "This reader", () => as);
    },

    async resetOptimizer() {
      for (const name of names) {
        first[name]!.fill(0);
        second[name]!.fill(0);
      }
      optimizerStep = 0;
    },

    async snapshot() {
      if (pending) throw pendingGradient(engine.id);
      const tensors: Record<string, HostTensor> = {};
      for (const name of names) {
        tensors[`parameters/${name}`] = words(parameters[name]!, shapes[name]!);
        tensors[`first/${name}`] = words(first[name]!, shapes[name]!);
        tensors[`second/${name}`] = words(second[name]!, shapes[name]!);
      }
      return engineSnapshot(owner, { weightsVersion, optimizerStep }, tensors);
    },

    async restore(snapshot) {
      const counters = countersOf(snapshot, owner);
      const loaded = names.flatMap((name) =>
        (
          [
            ["parameters", parameters],
            ["first", first],
            ["second", second],
          ] as const
        ).map(([kind, to]) => ({
          to: to[name]!,
          from: doubles(snapshot, `${kind}/${name}`, to[name]!.length),
        })),
      );
      for (const { to, from } of loaded) to.set(from);
      clear();
      // A used engine that goes back may reach an old version number with other weights; the new id keeps the two apart.
      if (weightsVersion > 0) restores++;
      ({ weightsVersion, optimizerStep } = counters);
    },
  };
  return engine;
}

function descend(parameter: Float64Array, gradient: Float64Array, rate: number): void {
  for (let i = 0; i < parameter.length; i++) parameter[i]! -= rate * gradient[i]!;
}

/** AdamW (Loshchilov and Hutter 2019), in place; weight decay on matrices only. */
function adamw(
  parameter: Float64Array,
  gradient: Float64Array,
  first: Float64Array,
  second: Float64Array,
  scale: number,
  step: number,
  o: UpdateOptions,
  matrix: boolean,
): void {
  const bias1 = 1 - o.beta1 ** step;
  const bias2 = 1 - o.beta2 ** step;
  const decay = matrix ? o.learningRate * (o.weightDecay ?? 0) : 0;
  for (let i = 0; i < parameter.length; i++) {
    const g = gradient[i]! * scale;
    const m = (first[i] = o.beta1 * first[i]! + (1 - o.beta1) * g);
    const v = (second[i] = o.beta2 * second[i]! + (1 - o.beta2) * g * g);
    parameter[i]! -= decay * parameter[i]! + (o.learningRate * (m / bias1)) / (Math.sqrt(v / bias2) + o.epsilon);
  }
}

/** Float64 values as pairs of 32-bit words (the machine's order: little-endian wherever Node and browsers run). */
const words = (values: Float64Array, shape: readonly number[]): HostTensor => ({
  shape: [...shape, 2],
  data: new Int32Array(values.slice().buffer),
});

function doubles(snapshot: Snapshot, name: string, length: number): Float64Array {
  const tensor = snapshot.tensors[name];
  if (!(tensor?.data instanceof Int32Array) || tensor.data.length !== 2 * length)
    throw new GuerdonError("input", `The snapshot has no tensor "${name}" of ${length} float64 numbers; it was made with another policy.`);
  return new Float64Array(tensor.data.slice().buffer);
}
