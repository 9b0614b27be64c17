import type { TextEnvironment } from "../../environments/environment.ts";
import { GuerdonError } from "../../error.ts";
import { reward, type Reward } from "../reward.ts";
import type { Schema } from "../schema.ts";

/**
 * An environment's own check as a reward: right answers get 1, wrong ones 0, or the grade that the check gives. Needs the column
 * `reference`, which rows made of rollouts have. Named after the environment.
 *
 * @throws GuerdonError "usage" when the environment has no check
 */
export function fromEnvironment(environment: Pick<TextEnvironment, "name" | "check">): Reward<{ reference: unknown }> {
  const { name, check } = environment;
  if (check === undefined)
    throw new GuerdonError("usage", `The environment "${name}" cannot check answers (it has no references), so a reward must be given.`);
  return reward(name, { columns: hasReference }, ({ text, reference }) => check.call(environment, text, reference));
}

/** Any reference will do as long as there is one: what it must look like is the environment's business. */
const hasReference: Schema<{ reference: unknown }> = {
  "~standard": {
    version: 1,
    vendor: "guerdon",
    validate(value) {
      const { reference } = value as { reference?: unknown };
      return reference === undefined ? { issues: [{ message: "is missing", path: ["reference"] }] } : { value: { reference } };
    },
  },
};
