import { readAll } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import type { Parameters, Policy } from "../policies/policy.ts";
import type { HostTensor, Snapshot } from "../statistics/snapshot.ts";
import { checkGradients, checkNames, checkUpdate, nonFiniteGradient, nothingToUpdate, pendingGradient } from "./checks.ts";
import type { Engine, UpdateOptions } from "./engine.ts";
import { disposeAll, programs, retainAll, startDevice, uploadAll } from "./programs.ts";
import type { LocalPlace, Moments, Programs, Tensors, Weights } from "./programs.ts";
import { drawn, oneAtATime, readerOf } from "./readers.ts";
import type { LocalReader } from "./readers.ts";
import { frozenCopy, toRollouts } from "./rollouts.ts";
import { countersOf, engineSnapshot, fingerprint } from "./snapshots.ts";

export interface LocalOptions<X> extends LocalPlace {
  readonly policy: Policy<X>;
  /** Seeds fresh parameters. */
  readonly seed: number;
  /** Instead of fresh ones, for instance from `readModel`. */
  readonly parameters?: Readonly<Record<string, HostTensor>>;
  /** Frozen parameters that are on the device already: several adapters of one base hold it once. They stay the caller's as well. */
  readonly frozen?: Parameters;
}

export interface LocalEngine<X> extends Engine<X> {
  readonly policy: Policy<X>;
  /** The parameters on the device: borrowed, valid until the next update or restore. */
  readonly parameters: Parameters;
  /** A copy of the parameters in host memory, by name, as `writeModel` takes them. */
  weights(): Promise<Record<string, HostTensor>>;
  /** Shapes compiled so far by this engine's programs. */
  readonly compiledShapes: number;
  update(options: UpdateOptions): Promise<{ readonly gradientNorm: number }>;
  /** What `snapshot` gives, also while a gradient waits: it is no part of the snapshot, and waits on. */
  besideGradient(): Promise<Snapshot>;
  features: LocalReader<X>["features"];
  freeze(): Promise<LocalReader<X>>;
  /** There where the policy has an adapter. */
  base?(): Promise<LocalReader<X>>;
  /** Frees parameters, optimizer and programs. Readers of `freeze` and `base` live on until their own dispose. The policy stays the caller's. */
  dispose(): void;
}

let engines = 0;

/**
 * An engine on this machine's processor or GPU, for any policy. Rows are sorted by length and cut into chunks of few padded shapes
 * (`chunks`); each chunk is one call of a compiled program, so memory is set by the chunk and not by the batch. The optimizer is AdamW with
 * global-norm clipping; weight decay touches matrices only; frozen parameters have neither gradient nor moments.
 *
 * Calls are carried out one at a time, in the order made. `snapshot` holds trainable parameters, moments and counters, and of
 * frozen parameters only a fingerprint: restore it into an engine made from the same model.
 *
 * @throws GuerdonError "usage" for an unknown output, gradients of wrong length, or an update without a gradient; "non-finite" when the
 *   gradient is not finite: the update is refused, parameters and optimizer stay as they were, the gradient is cleared
 */
export async function localEngine<X>(options: LocalOptions<X>): Promise<LocalEngine<X>> {
  const { policy, seed } = options;
  await startDevice(options);
  const number = ++engines;
  const initial = options.parameters ?? policy.init(seed, (name) => !options.frozen || policy.trainable(name));
  const uploaded = (keep: (name: string) => boolean): Tensors =>
    uploadAll(Object.fromEntries(Object.entries(initial).filter(([name]) => keep(name))));

  let weights: Weights = {
    trainable: uploaded((name) => policy.trainable(name)),
    frozen: options.frozen ? retainAll(options.frozen) : uploaded((name) => !policy.trainable(name)),
  };
  const names = Object.keys(weights.trainable);
  const zeros: Tensors = uploadAll(
    Object.fromEntries(
      Object.entries(weights.trainable).map(([name, { shape }]) => [
        name,
        { shape, data: new Float32Array(shape.reduce((product, n) => product * n, 1)) },
      ]),
    ),
  );
  let moments: Moments = { first: retainAll(zeros), second: retainAll(zeros) };
  let gradient: Tensors | null = null;
  let optimizerStep = 0;
  let weightsVersion = 0;
  let restores = 0;
  let disposed = false;

  const compiled = programsOf(policy, options);
  const underAdapter = policy.base && programsOf(policy.base, options);
  const [release, releaseUnder] = [compiled.use(), underAdapter?.use()];
  const inTurn = oneAtATime();
  const alive = (): void => {
    if (disposed) throw new GuerdonError("usage", `${engine.id} was disposed.`);
  };
  const who = "This engine";
  let frozen: string | null = null;
  /** The fingerprint is computed once: frozen parameters never change. */
  const owner = async () => ({
    engine: "local",
    family: policy.family,
    frozen: (frozen ??= fingerprint(await readAll(weights.frozen))),
  });
  const clear = (): void => {
    if (gradient) disposeAll(gradient);
    gradient = null;
  };
  const replace = (trainable: Tensors, next: Moments): void => {
    disposeAll(weights.trainable);
    disposeAll(moments.first);
    disposeAll(moments.second);
    weights = { ...weights, trainable };
    moments = next;
  };

  const engine: LocalEngine<X> = {
    policy,
    outputs: policy.outputs,
    get id() {
      return `local-${number}${restores > 0 ? `.${restores}` : ""}`;
    },
    get weightsVersion() {
      return weightsVersion;
    },
    get parameters() {
      return { ...weights.frozen, ...weights.trainable };
    },
    get compiledShapes() {
      return compiled.programs.shapes + (underAdapter?.programs.shapes ?? 0);
    },

    forward: (rows, wanted = ["logProbs"]) =>
      inTurn(async () => {
        alive();
        checkNames(policy.outputs, wanted, who);
        return compiled.programs.forward(weights, rows, wanted);
      }),

    features: (rows) =>
      inTurn(async () => {
        alive();
        return compiled.programs.features(weights, rows);
      }),

    sample: (requests, o) =>
      inTurn(async () => {
        alive();
        checkNames(policy.outputs, o.record ?? [], who);
        const sampled = await drawn(policy, engine.parameters, requests, o);
        return toRollouts(engine, requests, sampled, o, (row) => policy.actions(row));
      }),

    backward: (rows, gradients) =>
      inTurn(async () => {
        alive();
        checkNames(policy.outputs, Object.keys(gradients), who);
        checkGradients(rows, gradients, (row) => policy.actions(row));
        const made = await compiled.programs.backward(weights, gradient ?? zeros, rows, gradients);
        clear();
        gradient = made.gradient;
        return made.outputs;
      }),

    update: (o) =>
      inTurn(async () => {
        alive();
        if (!gradient) throw nothingToUpdate(engine.id);
        checkUpdate(o);
        const made = await compiled.programs.update(weights.trainable, gradient, moments, optimizerStep + 1, o);
        if (!Number.isFinite(made.gradientNorm)) {
          for (const tensors of [made.trainable, made.moments.first, made.moments.second]) disposeAll(tensors);
          const read = await readAll(gradient);
          clear();
          throw nonFiniteGradient(engine.id, names.find((name) => !read[name]!.data.every(Number.isFinite)) ?? "its norm overflows");
        }
        replace(made.trainable, made.moments);
        clear();
        optimizerStep++;
        weightsVersion++;
        return { gradientNorm: made.gradientNorm };
      }),

    discard: () => inTurn(async () => clear()),

    freeze: () =>
      inTurn(async () => {
        alive();
        const kept: Weights = { trainable: retainAll(weights.trainable), frozen: retainAll(weights.frozen) };
        return readerOf(policy, frozenCopy(engine), compiled.programs, kept, inTurn, compiled.use());
      }),

    ...(underAdapter && {
      base: () =>
        inTurn(async () => {
          alive();
          const kept: Weights = { trainable: {}, frozen: retainAll(weights.frozen) };
          return readerOf(
            policy.base!,
            { id: `${engine.id} base`, weightsVersion: 0 },
            underAdapter.programs,
            kept,
            inTurn,
            underAdapter.use(),
          );
        }),
    }),

    resetOptimizer: () =>
      inTurn(async () => {
        alive();
        replace(retainAll(weights.trainable), { first: retainAll(zeros), second: retainAll(zeros) });
        optimizerStep = 0;
      }),

    snapshot: () =>
      inTurn(async () => {
        if (gradient) throw pendingGradient(engine.id);
        return taken();
      }),

    besideGradient: () => inTurn(taken),

    restore: (snapshot) =>
      inTurn(async () => {
        alive();
        const counters = countersOf(snapshot, await owner());
        const host = parts().map(([kind, part]) =>
          Object.entries(part).map(([name, t]) => [name, tensorOf(snapshot, `${kind}/${name}`, t.shape)] as const),
        );
        const [trainable, first, second] = host.map((part) => uploadAll(Object.fromEntries(part)));
        replace(trainable!, { first: first!, second: second! });
        clear();
        // A used engine that goes back may reach an old version number with other weights; the new id keeps the two apart.
        if (weightsVersion > 0) restores++;
        ({ weightsVersion, optimizerStep } = counters);
      }),

    weights: () =>
      inTurn(async () => {
        alive();
        return readAll(engine.parameters);
      }),

    dispose() {
      if (disposed) return;
      disposed = true;
      clear();
      for (const tensors of [weights.trainable, weights.frozen, moments.first, moments.second, zeros]) disposeAll(tensors);
      release();
      releaseUnder?.();
    },
  };
  return engine;

  async function taken(): Promise<Snapshot> {
    alive();
    const tensors: Record<string, HostTensor> = {};
    for (const [kind, part] of parts()) for (const [name, t] of Object.entries(await readAll(part))) tensors[`${kind}/${name}`] = t;
    return engineSnapshot(await owner(), { weightsVersion, optimizerStep }, tensors);
  }

  function parts(): (readonly [kind: string, tensors: Tensors])[] {
    return [
      ["parameters", weights.trainable],
      ["first", moments.first],
      ["second", moments.second],
    ];
  }
}

/** Programs that engines and their readers use: the last one to let go frees them. */
interface Shared<X> {
  readonly programs: Programs<X>;
  use(): () => void;
}

/** Of policies in use, by the policy and by where it computes. */
const inUse = new WeakMap<object, Map<string, unknown>>();

/** The compiled programs of a policy: engines of the same policy object in the same place share them. */
function programsOf<X>(policy: Policy<X>, place: LocalPlace): Shared<X> {
  const places = inUse.get(policy) ?? new Map<string, unknown>();
  inUse.set(policy, places);
  const key = JSON.stringify([place.device, place.cells]);
  const found = places.get(key) as Shared<X> | undefined;
  if (found) return found;
  const made = programs(policy, place);
  let users = 0;
  const shared: Shared<X> = {
    programs: made,
    use() {
      users++;
      return () => {
        if (--users > 0) return;
        made.dispose();
        places.delete(key);
      };
    },
  };
  places.set(key, shared);
  return shared;
}

function tensorOf(snapshot: Snapshot, name: string, shape: readonly number[]): HostTensor {
  const tensor = snapshot.tensors[name];
  if (!tensor || tensor.shape.join() !== shape.join())
    throw new GuerdonError(
      "input",
      `The snapshot ${tensor ? `has the tensor "${name}" with shape [${tensor.shape.join(", ")}]` : `has no tensor "${name}"`}; this policy needs shape [${shape.join(", ")}].`,
    );
  return tensor;
}
