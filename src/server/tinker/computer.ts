import { readAll } from "../../arrays/index.ts";
import type { Tensor } from "../../arrays/index.ts";
import { localEngine } from "../../engines/local.ts";
import type { LocalEngine } from "../../engines/local.ts";
import { fingerprint } from "../../engines/snapshots.ts";
import { memoryError } from "../../engines/memory.ts";
import { disposeAll, startDevice, uploadAll } from "../../engines/programs.ts";
import type { LocalPlace } from "../../engines/programs.ts";
import { drawn } from "../../engines/readers.ts";
import { GuerdonError } from "../../error.ts";
import { readModel } from "../../policies/model-files.ts";
import type { Parameters, Policy } from "../../policies/policy.ts";
import { endings } from "../../policies/tokenizer.ts";
import type { Tokenizer } from "../../policies/tokenizer.ts";
import { transformer } from "../../policies/transformer.ts";
import type { TransformerPolicy } from "../../policies/transformer.ts";
import { projections } from "../../policies/transformer-config.ts";
import type { Projection, TransformerConfig } from "../../policies/transformer-config.ts";
import type { HostTensor } from "../../statistics/snapshot.ts";
import { stream } from "../../statistics/stream.ts";
import { lossOf } from "./losses.ts";
import { targeted } from "./rows.ts";
import type { TargetedRow } from "./rows.ts";
import { readState, writeState } from "./states.ts";
import { topReader } from "./top.ts";
import type { Top, TopReader } from "./top.ts";
import type { Adapter, BaseModel, Drawn, Jobs, JobName, SampleJob, Sampler, SampleSettings } from "./wire.ts";

/** Scale of adapters: the protocol does not send it, and the services that speak it use this. */
const ALPHA = 32;
/** Weights read from folders for sampling that are kept at a time. */
const KEPT = 16;

/** Adapters of one shape: the model as it samples, as it trains, and as it is only read. */
interface Shape {
  readonly policy: TransformerPolicy;
  readonly rows: Policy<TargetedRow>;
  readonly frozen: Policy<TargetedRow>;
  readonly top: TopReader;
}

/** Weights on the device. */
interface Held {
  readonly shape: Shape;
  readonly engine: LocalEngine<TargetedRow>;
}

interface Trained extends Held {
  /** A pass has added to a gradient that no step has used. */
  hasGradient: boolean;
}

export type Computer = { readonly [K in JobName]: (job: Jobs[K]["job"]) => Promise<Jobs[K]["result"]> };

/**
 * What the server computes with: one base model, whose parameters are on the device once, and any number of adapters on it, each with its own
 * optimizer and accumulated gradient. Programs are compiled once a shape of adapter. Jobs must come one at a time.
 */
export function computer(): Computer {
  let opened: {
    readonly config: TransformerConfig;
    readonly tokenizer: Tokenizer;
    readonly frozen: Record<string, Tensor>;
    readonly place: LocalPlace;
  } | null = null;
  const shapes = new Map<string, Shape>();
  const models = new Map<string, Trained>();
  const snapshots = new Map<string, Held>();
  const read = new Map<string, Held>();
  let plain: Held | null = null;

  const base = () => {
    if (!opened) throw new GuerdonError("internal", "No model was opened.");
    return opened;
  };

  function shapeOf(adapter: Pick<Adapter, "rank" | "targets"> | null): Shape {
    const key = adapter ? `${adapter.rank} ${adapter.targets.join()}` : "";
    const found = shapes.get(key);
    if (found) return found;
    const { config, tokenizer } = base();
    // Which tokens end an answer is a matter of the request.
    const endless: Tokenizer = { ...tokenizer, end: null, stops: [] };
    const policy = transformer(config, {
      tokenizer: endless,
      ...(adapter && { lora: { rank: adapter.rank, alpha: ALPHA, targets: adapter.targets } }),
    });
    const shape = {
      policy,
      top: topReader(policy),
      rows: targeted(policy, (name) => policy.trainable(name)),
      frozen: targeted(policy, () => false),
    };
    shapes.set(key, shape);
    return shape;
  }

  /** A model to train; `parameters` are its adapter's, and fresh where none are given. */
  async function trained(shape: Shape, seed: number, parameters?: Readonly<Record<string, HostTensor>>): Promise<Trained> {
    const { frozen, place } = base();
    const engine = await localEngine({ ...place, policy: shape.rows, seed, frozen, ...(parameters && { parameters }) });
    return { shape, engine, hasGradient: false };
  }

  /** Weights that are only read: handles on those given, which cost nothing. */
  async function held(shape: Shape, weights: Parameters): Promise<Held> {
    return { shape, engine: await localEngine({ ...base().place, policy: shape.frozen, seed: 0, frozen: weights, parameters: {} }) };
  }

  const adapterOf = async ({ engine, shape }: Held): Promise<Record<string, HostTensor>> =>
    readAll(Object.fromEntries(Object.entries(engine.parameters).filter(([name]) => shape.rows.trainable(name))));

  function model(name: string): Trained {
    const found = models.get(name);
    if (!found) throw new GuerdonError("internal", `The model ${name} is not loaded.`);
    return found;
  }

  function forget(among: Map<string, Held>, name: string): void {
    among.get(name)?.engine.dispose();
    among.delete(name);
  }

  async function weightsOf(from: Sampler): Promise<Held> {
    if ("base" in from) return (plain ??= await held(shapeOf(null), base().frozen));
    if ("snapshot" in from) {
      const found = snapshots.get(from.snapshot);
      if (!found) throw new GuerdonError("input", "The weights of this sampling session are gone: save them again.");
      return found;
    }
    const found = read.get(from.folder);
    if (found) {
      // Used last, forgotten last.
      read.delete(from.folder);
      read.set(from.folder, found);
      return found;
    }
    const { lora, parameters } = await readState(from.folder, base().config);
    const adapter = uploadAll(parameters);
    const made = await held(shapeOf(lora), { ...base().frozen, ...adapter });
    disposeAll(adapter);
    read.set(from.folder, made);
    if (read.size > KEPT) forget(read, read.keys().next().value!);
    return made;
  }

  return {
    async open({ folder, threads }): Promise<BaseModel> {
      const { policy, parameters } = await readModel(folder);
      const place: LocalPlace = threads === null ? {} : { threads };
      await startDevice(place);
      const { valueHead: _, scoreHead: __, ...config } = policy.architecture;
      const own = Object.fromEntries(
        Object.entries(parameters).filter(([name]) => name !== "value_head.weight" && name !== "score.weight"),
      );
      const frozen = uploadAll(own);
      opened = { config, tokenizer: policy.tokenizer, frozen, place };
      policy.dispose();
      return {
        fingerprint: fingerprint(own),
        vocabulary: config.vocabulary,
        context: config.context,
        projections: Object.keys(projections(config)) as Projection[],
        ends: endings(policy.tokenizer),
      };
    },

    async create({ model: name, adapter }) {
      forget(models, name);
      models.set(name, await trained(shapeOf(adapter), adapter.seed));
      return null;
    },

    async load({ model: name, folder, optimizer, adapter }) {
      const { lora, parameters, optimizerState } = await readState(folder, base().config, optimizer);
      if (lora.rank !== adapter.rank || lora.targets.join() !== adapter.targets.join())
        throw new GuerdonError(
          "input",
          `The checkpoint has an adapter of rank ${lora.rank} on ${lora.targets.join(", ")}, and the model one of rank ${adapter.rank} on ${adapter.targets.join(", ")}.`,
        );
      const made = await trained(shapeOf(adapter), adapter.seed, parameters);
      if (optimizerState) await made.engine.restore(optimizerState);
      forget(models, name);
      models.set(name, made);
      return null;
    },

    async pass({ model: name, rows, loss: lossName, config, backward }) {
      const trains = model(name);
      const { engine } = trains;
      const loss = lossOf(lossName, rows, config);
      if (!backward) {
        const { logProbs } = await engine.forward(rows);
        return { logProbs: logProbs!, loss: loss.at(logProbs!).loss };
      }
      const known = loss.linear ? rows.map((row) => new Float32Array(row.targets.length)) : (await engine.forward(rows))["logProbs"]!;
      const at = loss.at(known);
      const { logProbs } = await engine.backward(rows, at.gradients);
      trains.hasGradient = true;
      return loss.linear ? { logProbs: logProbs!, loss: loss.at(logProbs!).loss } : { logProbs: known, loss: at.loss };
    },

    async update({ model: name, options }) {
      const trains = model(name);
      const updated = await trains.engine.update(options);
      trains.hasGradient = false;
      return updated;
    },

    async save({ model: name, folder, state, base: baseName }) {
      const trains = model(name);
      const snapshot = state ? await trains.engine.besideGradient() : null;
      await writeState(folder, trains.shape.policy, await adapterOf(trains), snapshot, baseName);
      forget(read, folder);
      return { hasGradient: trains.hasGradient };
    },

    async snapshot({ model: name, name: as }) {
      const { shape, engine } = model(name);
      forget(snapshots, as);
      snapshots.set(as, await held(shape, engine.parameters));
      return null;
    },

    async sample({ from, settings, requests }) {
      return draw(await weightsOf(from), base().tokenizer, settings, requests);
    },

    async drop({ model: name, snapshot }) {
      if (name !== undefined) forget(models, name);
      if (snapshot !== undefined) forget(snapshots, snapshot);
      return null;
    },
  };
}

/** Draws the sequences of several requests together. What a sequence is depends on its request's seed and its number there alone. */
async function draw(
  { shape, engine }: Held,
  tokenizer: Tokenizer,
  settings: SampleSettings,
  requests: readonly SampleJob[],
): Promise<readonly Drawn[]> {
  const { context } = shape.policy.architecture;
  const none = new Int32Array(0);
  const wanted = requests.flatMap((request, r) =>
    // A prompt that fills the context can be read, and nothing follows it.
    settings.maxTokens === 0 || request.prompt.length >= context
      ? []
      : Array.from({ length: request.samples }, (_, k) => ({
          request: r,
          asked: {
            task: { id: `${r}`, prompt: "" },
            group: `${r}`,
            rng: stream(request.seed, "sample", k),
            from: { prompt: request.prompt, actions: none },
          },
        })),
  );
  const sampled =
    wanted.length === 0
      ? []
      : await drawn(
          shape.policy,
          engine.parameters,
          wanted.map(({ asked }) => asked),
          {
            maxActions: settings.maxTokens,
            temperature: settings.temperature,
            topK: settings.topK,
            topP: settings.topP,
            stopTokens: settings.stopTokens,
          },
        );
  const scored = requests.filter((request) => request.promptLogProbs && request.prompt.length > 1);
  const outputs =
    scored.length === 0
      ? []
      : (await engine.forward(scored.map(({ prompt }) => ({ inputs: prompt.slice(0, -1), targets: prompt.slice(1) }))))["logProbs"]!;
  const tops = new Map<SampleJob, Top>();
  for (const request of requests)
    if (request.promptTop > 0 && request.prompt.length > 1)
      tops.set(
        request,
        await shape.top.at(engine.parameters, request.prompt, request.promptTop).catch((cause: unknown) => {
          throw memoryError(cause, `the most likely tokens of a prompt of ${request.prompt.length}`);
        }),
      );
  return requests.map((request, r) => {
    const top = tops.get(request);
    const own = sampled.filter((_, i) => wanted[i]!.request === r);
    const place = scored.indexOf(request);
    return {
      sequences:
        own.length === 0
          ? Array.from({ length: request.samples }, () => ({ tokens: none, logProbs: new Float32Array(0), stop: "length" as const }))
          : own.map(({ row, logProbs, stop }) => cut(tokenizer, settings.stopTexts, { tokens: row.actions, logProbs, stop })),
      ...(top && { promptTop: top }),
      ...(request.promptLogProbs && { promptLogProbs: place >= 0 ? outputs[place]! : new Float32Array(0) }),
    };
  });
}

/** The sequence up to and with the token that completes one of the texts. Nothing after it has an influence on what is before. */
function cut(tokenizer: Tokenizer, texts: readonly string[], drawn: Drawn["sequences"][number]): Drawn["sequences"][number] {
  const holds = (length: number): boolean => {
    const text = tokenizer.decode(drawn.tokens.subarray(0, length));
    return texts.some((stop) => text.includes(stop));
  };
  if (texts.length === 0 || !holds(drawn.tokens.length)) return drawn;
  let [least, most] = [1, drawn.tokens.length];
  while (least < most) {
    const middle = (least + most) >> 1;
    if (holds(middle)) most = middle;
    else least = middle + 1;
  }
  return { tokens: drawn.tokens.slice(0, least), logProbs: drawn.logProbs.slice(0, least), stop: "stop" };
}
