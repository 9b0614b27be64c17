import type { Acting, Reader } from "../engines/index.ts";
import { GuerdonError } from "../error.ts";
import { outcomesOf } from "../environments/toy/index.ts";
import type { Finite } from "../environments/toy/index.ts";
import type { TextSequence } from "../policies/policy.ts";

/** Something that acts one step at a time and can say how likely each next action is: what searches walk through. */
export interface Stepwise<S> {
  /** Log-probabilities of all actions in each of these states, one array a state, all of one length; -Infinity forbids an action. */
  logProbs(states: readonly S[]): Promise<readonly ArrayLike<number>[]>;
  /** The state after an action; null when the action ends the sequence. */
  next(state: S, action: number): S | null;
}

/**
 * A finite process under a policy of any kind. States are the process's own.
 *
 * @throws GuerdonError "unsupported", on the way, where the process draws its next state
 */
export const finiteSteps = (process: Finite, policy: Acting): Stepwise<number> => ({
  logProbs: async (states) => states.map((state) => Float64Array.from(policy.probs(state), Math.log)),
  next(state, action) {
    const outcomes = outcomesOf(process, state, action);
    if (outcomes.length > 1)
      throw new GuerdonError("unsupported", `Searches walk deterministic processes, and "${process.name}" draws its next state.`);
    return outcomes[0]![0] < 0 ? null : outcomes[0]![0];
  },
});

/**
 * A language model through a reader of log-probabilities: every token of the vocabulary is tried as the next one. That costs a row for each
 * token and state, so it is for small vocabularies.
 *
 * @param options.ends tokens that end an answer
 */
export const textSteps = (
  reader: Reader,
  options: { readonly vocabulary: number; readonly ends: readonly number[] },
): Stepwise<TextSequence> => {
  const { vocabulary, ends } = options;
  const extended = ({ prompt, actions }: TextSequence, token: number): TextSequence => {
    const longer = new Int32Array(actions.length + 1);
    longer.set(actions);
    longer[actions.length] = token;
    return { prompt, actions: longer };
  };
  const tokens = Array.from({ length: vocabulary }, (_, token) => token);
  return {
    async logProbs(states) {
      const rows = states.flatMap((state) => tokens.map((token) => extended(state, token)));
      const answer = (await reader.forward(rows))["logProbs"]!;
      return states.map((_, i) => Float64Array.from(tokens, (token) => answer[i * vocabulary + token]!.at(-1)!));
    },
    next: (state, token) => (ends.includes(token) ? null : extended(state, token)),
  };
};
