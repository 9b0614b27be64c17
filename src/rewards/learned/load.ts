import { parseSafetensors } from "../../arrays/index.ts";
import { thisHost, type Host } from "../../data/host.ts";
import { fingerprint } from "../../engines/snapshots.ts";
import { hostEngine } from "../../engines/host.ts";
import type { LocalPlace } from "../../engines/programs.ts";
import type { Reader } from "../../engines/engine.ts";
import { GuerdonError } from "../../error.ts";
import type { MlpConfig } from "../../policies/mlp.ts";
import type { TextSequence } from "../../policies/policy.ts";
import { scorer, type ScorerConfig } from "../../policies/scorer.ts";
import type { Tokenizer } from "../../policies/tokenizer.ts";
import { ensemble } from "../compose-product.ts";
import type { Reward } from "../reward.ts";
import { columns, isRecord, type Check } from "../verify/columns.ts";
import { controlRow, featureRow, textAnswer } from "./answers.ts";
import { learnedReward, type LearnedOptions } from "./learned.ts";
import type { RewardReading } from "./reading.ts";

/** What stands in a saved reward's reward.json. */
export interface SavedReward {
  readonly format: "guerdon reward";
  readonly formatVersion: 1;
  readonly name: string;
  /** Changes with the weights. */
  readonly version: string;
  readonly reading: RewardReading;
  /** The kind of model, and its shape where the files do not say it. */
  readonly model: { readonly family: "transformer" } | ScorerShape | MlpShape;
  /** The column of the feature vectors, for a scorer. */
  readonly column: string | null;
  /** Each lies in "member-0", "member-1", ...: a model folder for transformers, else a .safetensors file. */
  readonly members: readonly { readonly centre: number; readonly scale: number; readonly fingerprint: string }[];
  /** Whether the model folder "reference" holds the policy that log-ratios are taken to. */
  readonly reference: boolean;
  /** Metrics on held-out data, for people. */
  readonly heldOut: Readonly<Record<string, number | null>> | null;
}
type ScorerShape = { readonly family: "scorer" } & ScorerConfig;
type MlpShape = { readonly family: "mlp" } & MlpConfig;

export interface LoadRewardOptions {
  /** Instead of the saved name. */
  readonly name?: string;
  /** For a language model whose folder has no tokenizer. */
  readonly tokenizer?: Tokenizer;
  /** For a log-ratio that was saved without its reference: the folder of that model, or a reader of it. */
  readonly reference?: string | Reader<TextSequence>;
  /** What an ensemble says, see `ensemble`. Default "mean". */
  readonly by?: "mean" | "min" | { readonly lowerBound: number };
  /** For a log-ratio: grade the steps of the row's column `steps` too. Default false. */
  readonly steps?: boolean;
  /** Where to compute. */
  readonly place?: LocalPlace;
  readonly host?: Host;
}

/** A learned reward holds models; `dispose` frees what they take. */
export type LoadedReward = Reward & { dispose(): void };

/**
 * A reward that `saveReward` (training/) wrote, as an ordinary reward: for `score`, `train`, `serve` and every composition. Rewards on feature
 * vectors read a column of rows ("features" unless it was saved under another name) and also run in a browser; language models read prompt and
 * completion.
 *
 * @param folder as `saveReward` wrote it
 * @throws GuerdonError "io" or "input" naming the file, when it is missing or not what it should be; "unsupported" for a later format
 */
export async function loadReward(folder: string, options: LoadRewardOptions = {}): Promise<LoadedReward> {
  const { by = "mean", place } = options;
  const host = options.host ?? (await thisHost());
  const saved = readSaved(await host.readText(`${folder}/reward.json`), `${folder}/reward.json`);
  const { model, reading, version } = saved;
  const name = options.name ?? saved.name;
  const tensors = async (m: number) => {
    const { tensors: found } = parseSafetensors(await host.readBytes(`${folder}/member-${m}.safetensors`));
    if (fingerprint(found) !== saved.members[m]!.fingerprint)
      throw new GuerdonError(
        "input",
        `${folder}/member-${m}.safetensors is not the file that reward.json was saved with. Save the reward again.`,
      );
    return found;
  };
  const open: Disposable[] = [];
  const dispose = (): void => open.forEach((reader) => reader.dispose?.());
  /** One reward a member, from its reader and what is the same for all. */
  const made = async <X>(
    reader: (member: number) => Promise<Reader<X>>,
    shared: Pick<LearnedOptions<X>, "row" | "actions" | "reference" | "columns">,
  ): Promise<LoadedReward> => {
    const members: Record<string, Reward> = {};
    for (const m of saved.members.keys()) {
      const own = await reader(m).catch((cause: unknown) => {
        dispose();
        throw cause;
      });
      open.push(own);
      members[`member-${m}`] = learnedReward({ ...shared, name, version, reading, reader: own, steps: options.steps });
    }
    const scales = Object.fromEntries(saved.members.map(({ centre, scale }, m) => [`member-${m}`, { mean: centre, deviation: scale }]));
    const one = saved.members.length === 1 ? members["member-0"]! : ensemble(members, { by, scales, name });
    return { ...one, dispose };
  };

  if (model.family === "scorer") {
    const column = saved.column ?? "features";
    const policy = scorer(model);
    return made(async (m) => hostEngine({ policy, parameters: await tensors(m) }), {
      columns: numbersIn(column),
      row: (answer) => ({ row: featureRow(cell(answer, column), "the answer") }),
      actions: () => 1,
    });
  }
  // Imported here, because most programs that use rewards have no use for compiled models.
  const { localReader } = await import("../../engines/readers.ts");
  if (model.family === "mlp") {
    const policy = (await import("../../policies/mlp.ts")).mlp(model);
    return made(async (m) => localReader({ policy, parameters: await tensors(m) }, place), {
      columns: numbersIn("observations", "actions"),
      row: (answer) => ({ row: controlRow(answer as Readonly<Record<string, unknown>>, "the answer") }),
      actions: (row) => policy.actions(row),
    });
  }
  const { readModel } = await import("../../policies/model-files.ts");
  const read = (path: string) => readModel(path, options.tokenizer ? { tokenizer: options.tokenizer } : {});
  const { reference = saved.reference ? `${folder}/reference` : undefined } = options;
  const base = typeof reference === "string" ? await localReader(await read(reference), place) : reference;
  if (typeof reference === "string") open.push(base!);
  let tokenizer: Tokenizer | undefined;
  return made(
    async (m) => {
      const found = await read(`${folder}/member-${m}`);
      tokenizer = found.policy.tokenizer;
      return localReader(found, place);
    },
    {
      reference: base,
      row: (answer, steps) => textAnswer(tokenizer!, answer.prompt, steps === null ? answer.completion : { steps }, "the answer"),
      actions: (row) => row.actions.length,
    },
  );
}

type Disposable = { dispose?(): void };

const cell = (row: object, column: string): unknown => (row as Readonly<Record<string, unknown>>)[column];

const listOfNumbers: Check<readonly number[]> = (value) =>
  Array.isArray(value) && value.every((v) => typeof v === "number") ? { value } : "must be a list of numbers";
const numbersIn = (...names: readonly string[]) => columns(Object.fromEntries(names.map((name) => [name, listOfNumbers])));

function readSaved(text: string, file: string): SavedReward {
  let saved: unknown;
  try {
    saved = JSON.parse(text);
  } catch (cause) {
    throw new GuerdonError("input", `${file} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  if (!isRecord(saved) || saved["format"] !== "guerdon reward")
    throw new GuerdonError("input", `${file} is not a saved reward. Give the folder that saveReward wrote.`);
  if (saved["formatVersion"] !== 1)
    throw new GuerdonError(
      "unsupported",
      `${file} has the format version ${String(saved["formatVersion"])}; this Guerdon reads version 1. Update Guerdon, or save the reward again.`,
    );
  const { name, version, reading, model, members } = saved;
  if (
    typeof name !== "string" ||
    typeof version !== "string" ||
    !isRecord(reading) ||
    !isRecord(model) ||
    !["scorer", "mlp", "transformer"].includes(String(model["family"])) ||
    !Array.isArray(members) ||
    members.length === 0 ||
    !members.every(
      (m) => isRecord(m) && typeof m["centre"] === "number" && typeof m["scale"] === "number" && typeof m["fingerprint"] === "string",
    )
  )
    throw new GuerdonError("input", `${file} lacks its name, version, reading, model or members. Save the reward again.`);
  return saved as unknown as SavedReward;
}
