import { GuerdonError } from "../../error.ts";
import type { TextSequence } from "../../policies/policy.ts";
import type { Tokenizer } from "../../policies/tokenizer.ts";
import type { Rollout } from "../../rollouts/rollout.ts";
import type { Json, Snapshot } from "../../statistics/snapshot.ts";
import { checkGradients, checkNames, checkUpdate, nonFiniteGradient, nothingToUpdate, pendingGradient } from "../checks.ts";
import type { Engine, Outputs, Reader, SampleOptions, SampleRequest, ServedLoss } from "../engine.ts";
import { oneAtATime } from "../readers.ts";
import { frozenCopy, toRollouts, type Sampler } from "../rollouts.ts";
import { countersOf, engineSnapshot } from "../snapshots.ts";
import { isLost, tinkerClient } from "./client.ts";
import type { TinkerClient, TinkerClientOptions } from "./client.ts";
import { openModel, unload } from "./model.ts";
import type { OpenOptions, ServiceLora, ServiceModel } from "./model.ts";
import { emptyPass, pass } from "./passes.ts";
import type { PassOptions } from "./passes.ts";
import { gradientNormOf, measuredReduction, rowMeanPass } from "./reduction.ts";
import type { Reduction } from "./reduction.ts";
import { drawAnswers, seedsOf } from "./sampling.ts";
import type { Source } from "./sampling.ts";

export interface TinkerOptions extends TinkerClientOptions {
  /** The base model, as the service names it. */
  readonly model: string;
  readonly lora: ServiceLora;
  /** That of the base model: `await readTokenizer("models/base")`, or `await hubTokenizer("Qwen/Qwen3-8B")`. */
  readonly tokenizer: Tokenizer;
  /**
   * Lets the service compute the loss where it is one of its own ("ppo": the clipped surrogate on tokens), in one call instead of two.
   * For services that sum losses; some take no other thresholds than 0.8 and 1.2. Default false.
   */
  readonly serverLosses?: boolean;
  /** How the service reduces losses. Default: measured before the first gradient is sent. */
  readonly reduction?: Reduction;
}

/** An engine whose parameters a training service holds. */
export interface TinkerEngine extends Omit<Engine<TextSequence>, "dispose"> {
  /** What runs keep of the policy, and the tokenizer that they use. */
  readonly policy: { readonly tokenizer: Tokenizer; readonly config: Json };
  /**
   * The base model, read through an adapter that is never trained and hence changes nothing. Against sampling requests for the
   * log-probabilities of prompts, which services also answer: one request does for a batch, the arithmetic is the trainer's (a fresh
   * adapter is at distance 0 from it to the bit), and a row may fill the whole context. It takes the place of one more adapter there.
   */
  base(): Promise<Reader<TextSequence>>;
  /** A reader of a training state that was saved on the service: a reference policy from an earlier run, say. */
  reader(path: string): Promise<Reader<TextSequence>>;
  /** Saves the weights for sampling under a name on the service, and gives their address. */
  saveForSampling(name: string): Promise<string>;
  /**
   * Deletes what was saved on the service under an address: that of `saveForSampling`, or the `path` in a snapshot's JSON. One that is
   * not there, or on a service that deletes nothing, is left at that.
   */
  deleteCheckpoint(path: string): Promise<void>;
  /** Unloads the models on the service. What was saved there stays. */
  dispose(): Promise<void>;
}

const outputs = ["logProbs"] as const;
const who = "The engine of a training service";

/** A row's gradient with respect to its log-probabilities, and these. */
interface Held {
  readonly row: TextSequence;
  readonly gradient: Float32Array;
  readonly logProbs: Float32Array;
}

let engines = 0;

/**
 * An engine over a training service that speaks the Tinker protocol: the hosted one, SkyRL, OpenRL, `guerdon serve --engine`. The service
 * holds the weights and the optimizer; loop, rewards and losses stay here.
 *
 * Any loss of log-probabilities is trained in two calls: `forward` tells the log-probabilities, the loss's gradient with respect to them is
 * computed here, and a `forward_backward` with cross-entropy weighted by minus that gradient has exactly the parameter gradient of the loss.
 * What needs more than log-probabilities of given tokens (entropy over the vocabulary, values, scores) is refused by name before any
 * request.
 *
 * - Sampling is synchronous: answers are always drawn from the weights as they are (`save_weights_for_sampler` once after each update),
 *   and no rollout is older than one weights version.
 * - A snapshot is an address on the service (`save_weights`) and the counters; it restores into any engine that reaches the same service.
 *   Services load a state only into a new model, so `restore` and `resetOptimizer` change models, and so does the next backward after a
 *   `discard` of a gradient that the service has already: an optimizer step that does nothing would still move Adam's moments.
 * - Gradients are sent only when all of them are finite.
 * - Where a service averages rows (`Reduction`), gradients wait here until the update, which then knows what they will be divided by.
 *
 * @throws GuerdonError "usage" and "io" as `tinkerClient`; from calls "io" with the service's own words, "non-finite" when a log-probability
 *   or gradient is not finite (no update was made)
 */
export async function tinkerEngine(options: TinkerOptions): Promise<TinkerEngine> {
  const { tokenizer, model: baseModel, lora } = options;
  const client = tinkerClient(options);
  const setting = { client, baseModel, lora };
  const number = ++engines;
  const inTurn = oneAtATime();
  const family = `${baseModel} with LoRA of rank ${lora.rank}`;
  const owner = { engine: "tinker", family, frozen: "" };

  let model = await openModel(setting).catch((cause: unknown) => {
    client.close();
    throw cause;
  });
  let weightsVersion = 0;
  let optimizerStep = 0;
  let restores = 0;
  let saves = 0;
  let disposed = false;
  /** Models that readers hold, unloaded with the engine at the latest. */
  const lent = new Set<ServiceModel>();
  /** What `update` will find: `sent` says whether the service has a part of it, `bad` where it is not finite, `held` what waits here. */
  let gradient: { sent: boolean; bad: string | null; readonly held: Held[] } | null = null;
  let reduction = options.reduction ?? null;
  /** Log-probabilities under the weights as they are, of rows that went through the model. */
  let seen = new WeakMap<TextSequence, Float32Array>();
  /** The service holds a gradient that no update may use. */
  let unwanted = false;
  /** Addresses of what is there now, until it changes: weights and optimizer; weights at least. */
  let state: string | null = null;
  let weights: string | null = null;
  const sampling: { source: Source | null } = { source: null };

  const call = <R>(work: () => Promise<R>): Promise<R> =>
    inTurn(async () => {
      if (disposed) throw new GuerdonError("usage", `${engine.id} was disposed.`);
      return work();
    });
  const saved = async (): Promise<string> => {
    state ??= (await model.run("save_weights", { path: `state-${++saves}` })).path;
    weights = state;
    return state;
  };
  /** Goes on in a new model with this state. The old one is unloaded, and with it whatever gradient it has. */
  const moveTo = async (path: string, optimizer: boolean): Promise<void> => {
    const old = model;
    model = await openModel({ ...setting, from: { path, optimizer } });
    unwanted = false;
    gradient = null;
    sampling.source = null;
    seen = new WeakMap();
    weights = path;
    state = optimizer ? path : null;
    await unload(old);
  };
  const drop = (): void => {
    unwanted ||= gradient?.sent ?? false;
    gradient = null;
  };
  const changed = (): void => {
    state = weights = sampling.source = null;
    seen = new WeakMap();
  };

  const engine: TinkerEngine = {
    outputs,
    policy: { tokenizer, config: { engine: "tinker", model: baseModel, lora: { ...lora } } },
    get id() {
      return `tinker-${number}${restores > 0 ? `.${restores}` : ""}`;
    },
    get weightsVersion() {
      return weightsVersion;
    },

    forward: (rows, names = outputs) =>
      call(async () => {
        checkNames(outputs, names, who);
        return remembered(rows, await read(model, rows));
      }),

    sample: (requests, o) =>
      call(async () => {
        checkNames(outputs, o.record ?? [], who);
        return answers(model, sampling, engine, requests, o);
      }),

    backward: (rows, gradients) =>
      call(async () => {
        checkNames(outputs, Object.keys(gradients), who);
        checkGradients(rows, gradients, (row) => row.actions.length);
        const given = gradients["logProbs"]!;
        if ((await reduced()) === "row-mean") return hold(rows, given);
        return add(rows, "logProbs", given, {
          call: "forward_backward",
          loss: "cross_entropy",
          columns: { weights: given.map((row) => row.map((g) => -g)) },
        });
      }),

    ...(options.serverLosses === true && {
      backwardLoss: (rows: readonly TextSequence[], { name, config, weights, advantages, logProbs }: ServedLoss) =>
        call(async () => {
          for (const [column, perRow] of Object.entries({ weights, advantages, logProbs }))
            checkGradients(rows, { [column]: perRow }, (row) => row.actions.length);
          if ((await reduced()) !== "sum")
            throw new GuerdonError(
              "unsupported",
              `The service at ${client.address} averages rows, so its own losses are others: leave serverLosses out.`,
            );
          const products = weights.map((row, i) => row.map((w, j) => w * advantages[i]![j]! * logProbs[i]![j]!));
          return add(rows, `the loss ${name}`, products, {
            call: "forward_backward",
            loss: name,
            columns: { weights, advantages, logprobs: logProbs },
            config,
          });
        }),
    }),

    update: (o) =>
      call(async () => {
        if (gradient === null) throw nothingToUpdate(engine.id);
        checkUpdate(o);
        if (gradient.bad !== null) {
          const where = gradient.bad;
          drop();
          throw nonFiniteGradient(engine.id, where);
        }
        try {
          if (gradient.held.length > 0) {
            const { held } = gradient;
            const rows = held.map(({ row }) => row);
            gradient.sent = true;
            await pass(
              model,
              rows,
              rowMeanPass(
                held.map(({ gradient: own }) => own),
                held.map(({ logProbs }) => logProbs),
              ),
            );
          }
          if (!gradient.sent) await emptyPass(model);
          const { metrics } = await model.run("optim_step", {
            adam_params: {
              learning_rate: o.learningRate,
              beta1: o.beta1,
              beta2: o.beta2,
              eps: o.epsilon,
              weight_decay: o.weightDecay ?? 0,
              grad_clip_norm: o.clipNorm ?? 0,
            },
          });
          const nothing = !gradient.sent;
          gradient = null;
          changed();
          optimizerStep++;
          weightsVersion++;
          return { gradientNorm: nothing ? 0 : gradientNormOf(metrics) };
        } catch (cause) {
          drop();
          throw cause;
        }
      }),

    discard: () => inTurn(async () => drop()),

    freeze: () =>
      call(async () => {
        weights ??= await saved();
        return lend({ ...setting, from: { path: weights, optimizer: false } }, frozenCopy(engine));
      }),

    base: () => call(() => lend(setting, { id: `${engine.id} base`, weightsVersion: 0 })),

    reader: (path) => call(() => lend({ ...setting, from: { path, optimizer: false } }, { id: path, weightsVersion: 0 })),

    resetOptimizer: () =>
      call(async () => {
        if (gradient !== null) throw pendingGradient(engine.id, "resetOptimizer()");
        if (optimizerStep === 0) return;
        await moveTo(await saved(), false);
        optimizerStep = 0;
      }),

    snapshot: () =>
      call(async () => {
        if (gradient !== null) throw pendingGradient(engine.id, "snapshot()");
        const { json, ...rest } = engineSnapshot(owner, { weightsVersion, optimizerStep }, {});
        return { ...rest, json: { ...(json as { readonly [key: string]: Json }), path: await saved() } };
      }),

    restore: (snapshot) =>
      call(async () => {
        const counters = countersOf(snapshot, owner);
        await moveTo(pathOf(snapshot), true);
        // A used engine that goes back may reach an old version number with other weights; the new id keeps the two apart.
        if (weightsVersion > 0) restores++;
        ({ weightsVersion, optimizerStep } = counters);
      }),

    saveForSampling: (name) =>
      call(async () => {
        const { path } = await model.run("save_weights_for_sampler", { path: name });
        if (!path) throw new GuerdonError("io", `save_weights_for_sampler of ${client.address} gave no path.`);
        return path;
      }),

    deleteCheckpoint: (path) =>
      call(async () => {
        if (path === state) state = null;
        if (path === weights) weights = null;
        await client.remove(path);
      }),

    dispose: () =>
      inTurn(async () => {
        if (disposed) return;
        disposed = true;
        await Promise.all([model, ...lent].map(unload));
        client.close();
      }),
  };
  return engine;

  async function reduced(): Promise<Reduction> {
    return (reduction ??= await measuredReduction(setting));
  }

  function remembered(rows: readonly TextSequence[], given: Outputs): Outputs {
    rows.forEach((row, i) => seen.set(row, given["logProbs"]![i]!));
    return given;
  }

  /** Rollouts of a model's weights as they are. */
  async function answers(
    of: ServiceModel,
    kept: { source: Source | null },
    as: Sampler,
    requests: readonly SampleRequest[],
    o: SampleOptions,
  ): Promise<Rollout<TextSequence>[]> {
    const seeds = seedsOf(requests);
    const held = kept.source;
    const draw = async () => drawAnswers((kept.source ??= await samplingSession(client, of)), tokenizer, requests, seeds, o);
    const sampled = await draw().catch((cause: unknown) => {
      // Weights that a service holds for sampling may be in memory only, and gone when it was restarted.
      if (held === null || !isLost(cause)) throw cause;
      kept.source = null;
      return draw();
    });
    return toRollouts(as, requests, sampled, o, (row) => row.actions.length);
  }

  /** Keeps a gradient here until the update. */
  async function hold(rows: readonly TextSequence[], given: readonly Float32Array[]): Promise<Outputs> {
    const bad = given.findIndex((row) => !row.every(Number.isFinite));
    const fresh = rows.filter((row) => !seen.has(row));
    if (fresh.length > 0) remembered(fresh, await read(model, fresh));
    gradient ??= { sent: false, bad: null, held: [] };
    if (bad >= 0) gradient.bad ??= `that of logProbs in row ${bad}`;
    const logProbs = rows.map((row) => seen.get(row)!);
    rows.forEach((row, i) => row.actions.length > 0 && gradient!.held.push({ row, gradient: given[i]!, logProbs: logProbs[i]! }));
    return { logProbs };
  }

  /** A pass whose gradient the service adds to what it has, unless `numbers` has one that is not finite: then only `update` will know. */
  async function add(
    rows: readonly TextSequence[],
    what: string,
    numbers: readonly Float32Array[],
    options: PassOptions,
  ): Promise<Outputs> {
    if (unwanted) await moveTo(await saved(), true);
    const bad = numbers.findIndex((row) => !row.every(Number.isFinite));
    gradient ??= { sent: false, bad: null, held: [] };
    if (bad >= 0) gradient.bad ??= `that of ${what} in row ${bad}`;
    if (gradient.bad !== null) return read(model, rows);
    // Before the first byte leaves: a call that fails half-way may have added some of its rows.
    gradient.sent ||= rows.some((row) => row.actions.length > 0);
    try {
      return await pass(model, rows, options);
    } catch (cause) {
      drop();
      throw cause;
    }
  }

  /** A reader on a model of its own. */
  async function lend(open: OpenOptions, as: Sampler): Promise<Reader<TextSequence>> {
    const own = await openModel(open);
    lent.add(own);
    const sessions: { source: Source | null } = { source: null };
    const alive = (): void => {
      if (!lent.has(own) || disposed) throw new GuerdonError("usage", "This reader was disposed.");
    };
    return {
      outputs,
      async forward(rows, names = outputs) {
        checkNames(outputs, names, who);
        alive();
        return read(own, rows);
      },
      async sample(requests, o) {
        checkNames(outputs, o.record ?? [], who);
        alive();
        return answers(own, sessions, as, requests, o);
      },
      dispose() {
        if (!lent.delete(own)) return;
        void inTurn(() => unload(own));
      },
    };
  }
}

const read = (model: ServiceModel, rows: readonly TextSequence[]): Promise<Outputs> =>
  pass(model, rows, {
    call: "forward",
    loss: "cross_entropy",
    columns: { weights: rows.map((row) => new Float32Array(row.actions.length).fill(1)) },
  });

/** The weights as they are now, for as long as the session lives. */
async function samplingSession(client: TinkerClient, model: ServiceModel): Promise<Source> {
  const made = await model.run("save_weights_for_sampler", { sampling_session_seq_id: client.next("sampling") });
  const { sampling_session_id: id, path } = made;
  let last = 0;
  if (id) return { client, fields: () => ({ sampling_session_id: id, seq_id: ++last }) };
  if (path) return { client, fields: () => ({ model_path: path }) };
  throw new GuerdonError("io", `save_weights_for_sampler of ${client.address} gave neither a sampling session nor a path.`);
}

function pathOf({ json }: Snapshot): string {
  const { path } = json as { readonly path?: Json };
  if (typeof path === "string") return path;
  throw new GuerdonError("input", `This snapshot has no address of a saved state on a training service: ${JSON.stringify(json)}.`);
}
