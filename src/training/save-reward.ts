import { formatSafetensors } from "../arrays/index.ts";
import { thisHost, type Host } from "../data/index.ts";
import type { HostEngine, LocalEngine } from "../engines/index.ts";
import { fingerprint } from "../engines/snapshots.ts";
import { GuerdonError } from "../error.ts";
import { writeModel, type TransformerPolicy } from "../policies/index.ts";
import type { SavedReward } from "../rewards/index.ts";
import type { HostTensor } from "../statistics/index.ts";
import type { RewardFit } from "./fit-reward.ts";

/** Engines whose models have a file format: a `scorer`, an `mlp` or a `transformer`. */
export type SavableEngine<X> = LocalEngine<X> | HostEngine<X>;

export interface SaveRewardOptions {
  /** How reports call the reward. */
  readonly name: string;
  /** For a `scorer`: the column of rows that holds the feature vectors. Default "features". */
  readonly column?: string;
  /** For a log-ratio: the model that it was fitted against. Without it `loadReward` must be told where that lies. */
  readonly reference?: { readonly policy: TransformerPolicy; readonly parameters: Readonly<Record<string, HostTensor>> };
  /** For a transformer: the folder that the model came from, whose tokenizer is taken over. */
  readonly like?: string;
  readonly host?: Host;
}

/**
 * Saves a fitted reward into a folder, which `loadReward` (rewards/) reads as an ordinary reward: `reward.json`, and for each member
 * `member-0.safetensors` or, for a transformer, the model folder `member-0`. reward.json is written last and replaces an earlier one.
 *
 * @throws GuerdonError "unsupported" for a kind of model that has no file format; "usage" for a reference of something else; "io"
 */
export async function saveReward<X>(folder: string, fit: RewardFit<X, SavableEngine<X>>, options: SaveRewardOptions): Promise<void> {
  const { name, reference, like } = options;
  const host = options.host ?? (await thisHost());
  if (name === "") throw new GuerdonError("usage", "saveReward: the reward needs a name.");
  const { form, members, heldOut } = fit;
  if (reference !== undefined && form.reading.kind !== "log-ratio")
    throw new GuerdonError("usage", "saveReward: only a log-ratio has a reference.");
  const model = modelOf(members[0]!.engine);
  const saved: { centre: number; scale: number; fingerprint: string }[] = [];
  for (const [m, { engine, centre, scale }] of members.entries()) {
    const tensors = await weightsOf(engine);
    if (model.family === "transformer")
      // By its family.
      await writeModel(`${folder}/member-${m}`, engine.policy as unknown as TransformerPolicy, tensors, like === undefined ? {} : { like });
    else await host.writeAtomic(`${folder}/member-${m}.safetensors`, formatSafetensors(tensors));
    saved.push({ centre, scale, fingerprint: fingerprint(tensors) });
  }
  if (reference) await writeModel(`${folder}/reference`, reference.policy, reference.parameters, like === undefined ? {} : { like });
  const content: SavedReward = {
    format: "guerdon reward",
    formatVersion: 1,
    name,
    version: saved.map((member) => member.fingerprint).join("-"),
    reading: form.reading,
    model,
    column: model.family === "scorer" ? (options.column ?? "features") : null,
    members: saved,
    reference: reference !== undefined,
    heldOut: heldOut === null ? null : { ...heldOut },
  };
  await host.writeAtomic(`${folder}/reward.json`, `${JSON.stringify(content, null, 2)}\n`);
}

function modelOf<X>({ policy }: SavableEngine<X>): SavedReward["model"] {
  if (policy.family === "transformer") return { family: "transformer" };
  // The config of these policies is what they were made from, with the family.
  if (policy.family === "scorer" || policy.family === "mlp") return policy.config as unknown as SavedReward["model"];
  throw new GuerdonError(
    "unsupported",
    `saveReward: a "${policy.family}" model has no file format; fit a scorer, an mlp or a transformer.`,
  );
}

/** The parameters as float32, the precision of the files. */
async function weightsOf<X>(engine: SavableEngine<X>): Promise<Record<string, HostTensor>> {
  if ("compiledShapes" in engine) return engine.weights();
  const shapes = engine.policy.init(0);
  return Object.fromEntries(
    Object.entries(engine.parameters).map(([name, values]) => [name, { shape: shapes[name]!.shape, data: Float32Array.from(values) }]),
  );
}
