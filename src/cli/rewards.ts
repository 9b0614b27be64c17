import { GuerdonError } from "../error.ts";
import type { Reward } from "../rewards/index.ts";
import { builtInRewards } from "./built-in-rewards.ts";
import { loadModule } from "./load-module.ts";
import { sourceDigest } from "./source-digest.ts";
import { didYouMean } from "./suggest.ts";

export interface LoadedReward {
  readonly reward: Reward<never>;
  /** Null for a reward of Guerdon's own. */
  readonly file: string | null;
  /** The reward's version and, for one from a file, that file's text and that of what it imports: changes whenever its grades may have changed. */
  readonly version: string;
}

/**
 * The reward that `--reward` names: `./reward.ts#name`, `./reward.ts` (its default export, or the only reward in it) or the name of one of
 * Guerdon's own.
 *
 * @throws GuerdonError "input" or "usage" that says what there is
 */
export async function loadReward(given: string): Promise<LoadedReward> {
  const [path, name] = parted(given);
  if (path === null) {
    const names = Object.keys(builtInRewards);
    const make = builtInRewards[given];
    if (make === undefined)
      throw new GuerdonError(
        "usage",
        `--reward ${given}: there is no such reward.${didYouMean(given, names)} Give a file, for instance ./reward.ts#name, or one of ${names.join(", ")}`,
      );
    const reward = await make();
    return { reward, file: null, version: reward.version };
  }
  const module = await loadModule(path);
  const reward = chosen(module, path, name);
  return { reward, file: path, version: `${reward.version} ${sourceDigest(path)}` };
}

/**
 * All rewards of a file, by the names of their exports, and which of them is meant when none is named: the one after "#", the default
 * export or the only one; null where that is open. One of Guerdon's own comes alone.
 *
 * @throws GuerdonError "input" or "usage" as `loadReward`
 */
export async function loadRewards(
  given: string,
): Promise<{ readonly rewards: Readonly<Record<string, LoadedReward>>; readonly main: string | null }> {
  const [path, name] = parted(given);
  if (path === null) return { rewards: { [given]: await loadReward(given) }, main: given };
  const module = await loadModule(path);
  if (name !== null || !Object.values(module).some(isReward)) chosen(module, path, name);
  const content = sourceDigest(path);
  // A reward that is exported twice, as itself and as the default, is one.
  const exported = Object.entries(module).filter(
    ([key, value]) =>
      isReward(value) && (key !== "default" || !Object.entries(module).some(([other, same]) => other !== key && same === value)),
  ) as [string, Reward<never>][];
  const rewards = exported.map(([key, reward]) => [key, { reward, file: path, version: `${reward.version} ${content}` }] as const);
  const isDefault = exported.find(([, reward]) => reward === module["default"])?.[0];
  return { rewards: Object.fromEntries(rewards), main: name ?? isDefault ?? (rewards.length === 1 ? rewards[0]![0] : null) };
}

/** A file and what it exports, or no file at all. */
function parted(given: string): [path: string | null, name: string | null] {
  const hash = given.lastIndexOf("#");
  const [path, name] = hash < 0 ? [given, null] : [given.slice(0, hash), given.slice(hash + 1) || null];
  return /[./\\]/.test(path) ? [path, name] : [null, null];
}

function chosen(module: Readonly<Record<string, unknown>>, path: string, name: string | null): Reward<never> {
  const rewards = Object.keys(module).filter((key) => isReward(module[key]));
  if (name !== null) {
    const value = module[name];
    if (isReward(value)) return value;
    if (!(name in module))
      throw new GuerdonError(
        "input",
        `${path} has no export named ${name}.${didYouMean(name, Object.keys(module))} ${rewards.length === 0 ? "It exports no reward." : `Its rewards: ${rewards.join(", ")}`}`,
      );
    const what = typeof value === "function" ? "a function" : `no reward but ${typeof value}`;
    throw new GuerdonError("input", `${path}#${name} is ${what}. Export the reward itself: export const ${name} = reward("${name}", ...)`);
  }
  if (isReward(module["default"])) return module["default"];
  if (rewards.length === 1) return module[rewards[0]!] as Reward<never>;
  throw new GuerdonError(
    "input",
    rewards.length === 0
      ? `${path} exports no reward: export const brief = reward("brief", ({ text }) => text.length < 400)`
      : `${path} exports several rewards, say which: ${rewards.map((key) => `${path}#${key}`).join(", ")}`,
  );
}

const isReward = (value: unknown): value is Reward<never> =>
  typeof value === "object" &&
  value !== null &&
  "evaluate" in value &&
  typeof value.evaluate === "function" &&
  "name" in value &&
  typeof value.name === "string";
