import type { Rollout } from "../rollouts/rollout.ts";
import { checkFinite } from "./columns.ts";
import type { Column } from "./scored.ts";

/**
 * Scores answers by comparing each with every other of its group, once a pair: the share of its comparisons that it wins. Of two answers
 * the preferred one gets 1 and the other 0. This turns any preference, also one that goes in circles, into the scores that `pairs` reads.
 *
 * @param wins whether the first answer is preferred to the second, or the probability that it is; asked in the order of the rollouts
 * @returns one number a rollout, in [0, 1]; an answer alone in its group, compared with nothing, gets 1/2
 * @throws GuerdonError "non-finite" when a preference is
 */
export function winShares<X>(rollouts: readonly Rollout<X>[], wins: (first: Rollout<X>, second: Rollout<X>) => boolean | number): Column {
  const groups = new Map<string, number[]>();
  for (const [i, { group }] of rollouts.entries()) groups.set(group, [...(groups.get(group) ?? []), i]);
  const won = new Float64Array(rollouts.length);
  const compared = new Float64Array(rollouts.length);
  for (const rows of groups.values())
    for (const [place, i] of rows.entries())
      for (const j of rows.slice(place + 1)) {
        const first = Number(wins(rollouts[i]!, rollouts[j]!));
        won[i]! += first;
        won[j]! += 1 - first;
        compared[i]!++;
        compared[j]!++;
      }
  checkFinite(won, "preference");
  return won.map((w, i) => (compared[i] === 0 ? 0.5 : w / compared[i]!));
}
