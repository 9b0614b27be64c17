import { GuerdonError } from "../error.ts";
import type { Outputs, UpdateOptions } from "./engine.ts";

/** What to use in place of an output that an engine does not have. */
const instead: Readonly<Record<string, string>> = {
  entropy:
    "the entropy over the vocabulary is known to the model alone: leave out the entropy bonus, or use a KL penalty, which needs log-probabilities only",
  value: "without a value head, use baselines of the group (grpo, rloo) in place of a critic",
  score: "without a score head there is no reward model: train one with localEngine",
};

/**
 * @throws GuerdonError "usage" when a name is none of an output; "unsupported" for an output that other readers have and this one has not,
 *   with what to use instead
 */
export function checkNames(has: readonly string[], names: readonly string[], who: string): void {
  for (const name of names) {
    if (has.includes(name)) continue;
    const known = Object.hasOwn(instead, name);
    throw new GuerdonError(
      known ? "unsupported" : "usage",
      `${who} has no output "${name}"; it has ${has.map((n) => `"${n}"`).join(", ")}${known ? `. Instead: ${instead[name]}` : ""}.`,
    );
  }
}

/** @throws GuerdonError "usage" when there is no gradient, or the gradients do not have one array a row with one number an action */
export function checkGradients<X>(rows: readonly X[], gradients: Outputs, actions: (row: X) => number): void {
  const entries = Object.entries(gradients);
  if (entries.length === 0) throw new GuerdonError("usage", "backward() was given no gradient; give one for at least one output.");
  for (const [name, perRow] of entries) {
    if (perRow.length !== rows.length)
      throw new GuerdonError(
        "usage",
        `The gradient of "${name}" has ${perRow.length} rows and there are ${rows.length} rows; give one array a row.`,
      );
    perRow.forEach((gradient, i) => {
      const length = actions(rows[i]!);
      if (gradient.length !== length)
        throw new GuerdonError(
          "usage",
          `The gradient of "${name}" in row ${i} has ${gradient.length} numbers and the row has ${length} actions.`,
        );
    });
  }
}

/** Below it, float32 has fewer digits, and devices round to 0. */
const smallest = 2 ** -126;

/** @throws GuerdonError "usage" when a number is out of range: weights would be NaN ever after */
export function checkUpdate({ learningRate, beta1, beta2, epsilon, clipNorm, weightDecay = 0 }: UpdateOptions): void {
  const refuse = (name: string, value: number, range: string): never => {
    throw new GuerdonError("usage", `update: ${name} is ${value}; it must be ${range}.`);
  };
  // As float32, which is what is computed with: an epsilon of 1e-50 would be 0 there.
  for (const [name, value] of Object.entries({ learningRate, weightDecay }))
    if (!(value >= 0 && Math.fround(value) < Infinity)) refuse(name, value, "finite and at least 0");
  for (const [name, value] of Object.entries({ beta1, beta2 }))
    if (!(value >= 0 && Math.fround(value) < 1)) refuse(name, value, "at least 0 and below 1");
  for (const [name, value] of Object.entries({ epsilon, clipNorm: clipNorm ?? 1 }))
    if (!(value >= smallest && Math.fround(value) < Infinity)) refuse(name, value, "finite and above 0");
}

/** What `update` throws when the accumulated gradient is not finite. */
export const nonFiniteGradient = (engine: string, where: string): GuerdonError =>
  new GuerdonError(
    "non-finite",
    `${engine}: the gradient is not finite (${where}), so the update was refused: parameters and optimizer are as before, the gradient is cleared. ` +
      `Look for a huge or infinite reward, advantage or log-probability in the batch, or lower the learning rate.`,
  );

export const nothingToUpdate = (engine: string): GuerdonError =>
  new GuerdonError("usage", `${engine}: update() needs a gradient; call backward() first.`);

export const pendingGradient = (engine: string, before = "snapshot()"): GuerdonError =>
  new GuerdonError("usage", `${engine}: there is a gradient that no update has used; call update() or discard() before ${before}.`);
