import { checkNames } from "../engines/checks.ts";
import { tinkerEngine, type TinkerEngine } from "../engines/index.ts";
import { tinkerClient } from "../engines/tinker/client.ts";
import { GuerdonError } from "../error.ts";
import { anyTokenizer } from "../policies/index.ts";
import type { Json } from "../statistics/snapshot.ts";
import { outputsNeeded, type Job } from "../training/index.ts";
import type { FoundJob } from "./jobs.ts";

/** A model on a training service, as a run remembers it. The key stays in the environment. */
export type ServiceChoice = {
  readonly engine: "tinker";
  readonly baseUrl: string;
  readonly model: string;
  readonly rank: number;
  readonly tokenizer: string;
  readonly keyEnv: string;
  readonly serverLosses: boolean;
};

/** What the command line says about it. */
export interface ServiceOptions {
  readonly engine?: string;
  readonly baseUrl?: string;
  readonly model?: string;
  readonly rank?: number;
  readonly tokenizer?: string;
  readonly keyEnv?: string;
  readonly serverLosses?: boolean;
}

const flags = {
  baseUrl: "--base-url",
  model: "--model",
  rank: "--rank",
  tokenizer: "--tokenizer",
  keyEnv: "--key-env",
  serverLosses: "--server-losses",
} as const;

/** Where the client looks by itself. */
const usualKeyEnv = "TINKER_API_KEY";

/** The rank where neither the command line nor the configuration says one; that of the service's own clients. */
const usualRank = 32;

/**
 * The service that a command line names, or null for the local engine.
 *
 * @throws GuerdonError "usage" for an unknown engine, one without an address and a model, or an option that goes with another engine
 */
export function serviceChoice(options: ServiceOptions, { model }: Job): ServiceChoice | null {
  const { engine = "local", baseUrl, keyEnv = usualKeyEnv, serverLosses = false } = options;
  if (engine === "local") {
    const alien = (Object.keys(flags) as (keyof typeof flags)[]).find((name) => options[name] !== undefined);
    if (alien !== undefined) throw new GuerdonError("usage", `${flags[alien]} goes with --engine tinker`);
    return null;
  }
  if (engine !== "tinker") throw new GuerdonError("usage", `--engine ${engine}: it must be local or tinker`);
  if (baseUrl === undefined || options.model === undefined)
    throw new GuerdonError(
      "usage",
      "--engine tinker needs the service's address and a model there: --base-url http://localhost:8500 --model NAME",
    );
  const folder = "folder" in model ? model : null;
  return {
    engine,
    baseUrl: withoutQuery(baseUrl),
    model: options.model,
    rank: options.rank ?? folder?.lora?.rank ?? usualRank,
    tokenizer: options.tokenizer ?? folder?.folder ?? options.model,
    keyEnv,
    serverLosses,
  };
}

/** An address as run.json may hold it. @throws GuerdonError "usage" when it is none, or may hold a key */
function withoutQuery(text: string): string {
  const address = URL.parse(text);
  if (address === null) throw new GuerdonError("usage", "--base-url is not an address. Give one such as http://localhost:8500");
  if (address.search !== "" || address.username !== "" || address.password !== "")
    throw new GuerdonError(
      "usage",
      "--base-url must have no query and no password in it, because runs keep it: put the key into the variable of --key-env",
    );
  return text;
}

/**
 * The job as it runs on a service: its model takes the place of the job's own. A warm-up that teaches a model from scratch its notation
 * has no place there; one of a pretrained model stays.
 *
 * @throws GuerdonError "unsupported" for a method that needs more than log-probabilities
 */
export function onService(job: Job, choice: ServiceChoice): { readonly job: Job; readonly left: string | null } {
  for (const { method } of [job.contender, ...job.rivals])
    checkNames(["logProbs"], outputsNeeded(method), `A training service, which is to train the method "${method.name}",`);
  const scratch = !("folder" in job.model);
  const left =
    scratch && job.warmUp !== null
      ? `the warm-up (${job.warmUp.steps} supervised steps) is left out: it teaches a model from scratch the task's notation, and ${choice.model} is taken as it is`
      : null;
  return { job: { ...job, ...(scratch && { warmUp: null }), options: { ...job.options, service: { ...choice } } }, left };
}

/** Makes the engine. */
export async function openService(
  { baseUrl, model, rank, tokenizer, keyEnv, serverLosses }: ServiceChoice,
  job: Job,
): Promise<TinkerEngine> {
  // A service on this machine may want no key; where one was named, no other may take its place.
  const reach = { baseUrl, ...(keyEnv !== usualKeyEnv && { apiKey: { env: keyEnv } }), seed: job.seed };
  // A wrong address is said at once; a call of a run under way waits longer for a service.
  await tinkerClient({ ...reach, tries: 3 }).models();
  return tinkerEngine({
    ...reach,
    model,
    lora: { rank, seed: job.seed },
    tokenizer: await readTokenizerOf(tokenizer),
    serverLosses,
  });
}

async function readTokenizerOf(name: string): ReturnType<typeof anyTokenizer> {
  try {
    return await anyTokenizer(name);
  } catch (cause) {
    if (!(cause instanceof GuerdonError)) throw cause;
    throw new GuerdonError(cause.code, `${cause.message} Another one is given by --tokenizer <folder, or owner/name on the hub>.`, {
      cause,
    });
  }
}

/** Where a run's service is now, and where its key is, if not as the run remembers. */
export interface ServiceReach {
  readonly baseUrl?: string;
  readonly keyEnv?: string;
}

/** The service that holds a run's weights, by what the run remembers and what the command line says. The model there may not change. */
export function serviceOf({ directory, service }: FoundJob, { baseUrl, keyEnv }: ServiceReach): ServiceChoice | null {
  const remembered = rememberedService(service);
  if (remembered === null) {
    refuseReach(directory, { baseUrl, keyEnv });
    return null;
  }
  return { ...remembered, ...(baseUrl !== undefined && { baseUrl: withoutQuery(baseUrl) }), ...(keyEnv !== undefined && { keyEnv }) };
}

/** @throws GuerdonError "usage" when the command line says where a service is, and the weights are on this machine */
export function refuseReach(path: string, reach: { readonly [name in keyof ServiceReach]: string | undefined }): void {
  const alien = (["baseUrl", "keyEnv"] as const).find((name) => reach[name] !== undefined);
  if (alien !== undefined)
    throw new GuerdonError("usage", `${flags[alien]} goes with runs on a training service; ${path} is on this machine`);
}

/** What a run remembers, checked. */
function rememberedService(value: Json | undefined): ServiceChoice | null {
  if (value === undefined) return null;
  const choice = value as ServiceChoice;
  if (choice.engine !== "tinker" || typeof choice.baseUrl !== "string" || typeof choice.model !== "string")
    throw new GuerdonError(
      "unsupported",
      `This run was trained by an engine that this version of guerdon does not know: ${JSON.stringify(value)}`,
    );
  return choice;
}
