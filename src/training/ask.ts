import type { Engine, Reader } from "../engines/engine.ts";
import { geometricMixture } from "../engines/index.ts";
import type { Task } from "../environments/environment.ts";
import { GuerdonError } from "../error.ts";
import { rollOut, type Rollout, type RollOutOptions } from "../rollouts/index.ts";
import type { RolloutMethod } from "./method.ts";

/** Who answers in a step, beside the policy itself. */
export interface Others<X> {
  /** Null where the method needs none. */
  readonly reference: Reader<X> | null;
  /** The earlier self in the method's anchor; null where it has none. */
  readonly previous: Reader<X> | null;
}

/**
 * All answers that a method asks for to these tasks: of the policy, and of the reference policy where the method asks it too. Both are in
 * the groups of their tasks, and draw from streams of their own.
 *
 * @param record outputs to record of the policy's own answers
 * @throws GuerdonError "usage" when the reference is asked and only gives log-probabilities; otherwise as `rollOut`
 */
export async function ask<X>(
  method: RolloutMethod,
  engine: Engine<X>,
  { reference }: Pick<Others<X>, "reference">,
  environment: { readonly maxActions: number },
  tasks: readonly Task[],
  options: Omit<RollOutOptions, "groupSize" | "sampling" | "stream"> & { readonly record: readonly string[] },
): Promise<Rollout<X>[]> {
  const { record, ...asking } = options;
  const { groupSize, sampling, referenceAnswers } = method;
  const own = await rollOut(engine, environment, tasks, { ...asking, groupSize, sampling: { ...sampling, record } });
  if (referenceAnswers === 0) return own;
  const sample = reference?.sample?.bind(reference);
  if (sample === undefined)
    throw new GuerdonError(
      "usage",
      `The method "${method.name}" asks the reference policy for answers, and this one gives only log-probabilities: give a reader with \`sample\`, as \`localReader\` makes.`,
    );
  return [
    ...own,
    ...(await rollOut({ sample }, environment, tasks, { ...asking, groupSize: referenceAnswers, stream: "reference rollout" })),
  ];
}

/** The reader that the method's row column "anchor" is read from; null where it has none. */
export function anchorOf<X>({ anchor }: RolloutMethod, { previous, reference }: Others<X>): Reader<X> | null {
  if (anchor === null || previous === null) return null;
  return reference === null ? previous : geometricMixture(previous, reference, anchor.reference);
}
