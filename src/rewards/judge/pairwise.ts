import { GuerdonError } from "../../error.ts";
import type { CallContext } from "../calls.ts";
import { unscorable, type Score, type ScoreError } from "../grade.ts";
import { reward, type Graded, type Reward } from "../reward.ts";
import { enough, isError, judge, judgeByProbabilities, judgeSettings, type Form, type JudgeOptions, type Settings } from "./ask.ts";
import { checkPrompt, fillPrompt, shippedPrompt, shippedVersion } from "./prompt.ts";
import { conversation, onlyOne, reasonOf } from "./rubric.ts";
import { combineVotes } from "./votes.ts";

export interface PairwiseOptions extends JudgeOptions {
  /** What makes an answer better, in words; correctness and helpfulness unless said. */
  readonly rubric?: string;
  /**
   * The value of a comparison in which the two orders disagree, or both say tie; 0.5 unless said. null makes such answers unscorable, for
   * those who want decided comparisons only.
   */
  readonly tie?: number | null;
}

/** What a comparison of x with y came to. */
interface Compared {
  /** How far x is preferred, 0 to 1; null without a decision when ties are to be unscorable. */
  readonly value: number | null;
  readonly decided: "x" | "y" | "tie" | "disagreement" | "probabilities";
}

export const usualRubric = "The better answer is the one that is correct, does what the question asks, and leaves out what it does not.";

/**
 * A model that compares the answers to a question with each other. Every pair is shown in both orders. An answer's value is the mean of
 * its comparisons: 1 where both orders prefer it, 0 where both prefer the other, and `tie` where they disagree, or both call it a tie. So
 * a judge that always prefers the first answer gives every answer the value of a tie. Answers with the same text are a tie, unasked.
 *
 * With `from: "probabilities"` a comparison is the probability of A against B, averaged over both orders, and nothing is rounded to ties.
 *
 * It asks n (n - 1) times for a group of n answers: raise the `timeoutMs` of `score` for large groups. A group of one is unscorable, and so
 * is every answer with a comparison that failed.
 *
 * @throws GuerdonError "usage" for options out of range, or a prompt with a place that nothing fills
 */
export function pairwiseJudge(options: PairwiseOptions): Reward {
  const { rubric = usualRubric, tie = 0.5, name = "pairwise" } = options;
  const settings = judgeSettings("pairwiseJudge", options, shippedVersion);
  if (tie !== null && !(tie >= 0 && tie <= 1))
    throw new GuerdonError("usage", `pairwiseJudge: tie must be from 0 to 1, or null for unscorable, not ${tie}.`);
  if (settings.prompt !== null) checkPrompt(settings.prompt, ["answerA", "answerB"], ["rubric", "prompt"]);
  return reward.group(name, { version: settings.version([rubric, tie]) }, async (answers, context): Promise<Score[]> => {
    if (answers.length < 2)
      return answers.map(() => unscorable("declined", `The reward "${name}" compares answers to the same prompt, and this one is alone.`));
    const pairs = answers.flatMap((x, i) => answers.slice(i + 1).map((y, k) => ({ x, y, i, j: i + 1 + k })));
    const compared = await Promise.all(
      pairs.map(async ({ x, y, i, j }) => ({ i, j, outcome: await compare(settings, { rubric, tie }, x, y, context) })),
    );
    return answers.map((_, who): Score => {
      const own = compared.filter(({ i, j }) => i === who || j === who);
      const values: number[] = [];
      const decisions = { won: 0, lost: 0, tied: 0, disagreed: 0 };
      let trouble: ScoreError | null = null;
      for (const { i, j, outcome } of own) {
        if ("error" in outcome) {
          trouble ??= {
            kind: outcome.error.kind,
            message: `The comparison with answer ${(i === who ? j : i) + 1} of its group: ${outcome.error.message}`,
          };
          continue;
        }
        const { value, decided } = outcome;
        if (value === null)
          trouble ??= { kind: "declined", message: `The comparison with answer ${(i === who ? j : i) + 1} of its group is a ${decided}.` };
        else values.push(decided === "tie" || decided === "disagreement" || i === who ? value : 1 - value);
        if (decided === "tie") decisions.tied++;
        else if (decided === "disagreement") decisions.disagreed++;
        else if (decided === (i === who ? "x" : "y")) decisions.won++;
        else if (decided !== "probabilities") decisions.lost++;
      }
      const { won, lost, tied, disagreed } = decisions;
      const note =
        settings.from === "probabilities"
          ? `${own.length} comparisons`
          : `won ${won}, lost ${lost}, tied ${tied}, the orders disagreed on ${disagreed}`;
      return trouble === null ? { value: combineVotes(values, "mean"), note } : { value: null, error: trouble, note };
    });
  });
}

/** Compares in both orders. */
async function compare(
  settings: Settings,
  { rubric, tie }: { readonly rubric: string; readonly tie: number | null },
  x: Graded,
  y: Graded,
  context: CallContext,
): Promise<Compared | { readonly error: ScoreError }> {
  if (x.text === y.text) return { value: tie, decided: "tie" };
  const [first, second] = await Promise.all([preference(settings, rubric, x, y, context), preference(settings, rubric, y, x, context)]);
  if (isError(first)) return { error: first };
  if (isError(second)) return { error: second };
  if (settings.from === "probabilities") return { value: (first + 1 - second) / 2, decided: "probabilities" };
  // Each order's votes have a winner; x is first in the one order and second in the other.
  const [a, b] = [Math.sign(first - 0.5), -Math.sign(second - 0.5)];
  if (a === b && a !== 0) return { value: a > 0 ? 1 : 0, decided: a > 0 ? "x" : "y" };
  return { value: tie, decided: a === b ? "tie" : "disagreement" };
}

/** How far the answer that is shown first is preferred, 0 to 1. */
async function preference(settings: Settings, rubric: string, a: Graded, b: Graded, context: CallContext): Promise<number | ScoreError> {
  const prompt = settings.prompt ?? (await shippedPrompt("pairwise"));
  const ask = (format: string) =>
    fillPrompt(prompt, { own: { rubric, format }, foreign: { prompt: conversation(a.prompt), answerA: a.text, answerB: b.text } });
  if (settings.from === "probabilities") {
    const said = await judgeByProbabilities(settings, ask(onlyOne(["A", "B"])), ["A", "B"], context);
    if (said.error !== undefined) return said.error;
    const { A, B } = said.verdict.probabilities as { readonly A: number; readonly B: number };
    return A / (A + B);
  }
  const verdicts = enough(await judge(settings, ask(form.words), form, context), settings.minimumVotes);
  if (isError(verdicts)) return verdicts;
  return combineVotes(
    verdicts.map(({ better }) => (better === "A" ? 1 : better === "B" ? 0 : 0.5)),
    "mean",
  );
}

const form: Form<{ readonly better: "A" | "B" | "tie"; readonly reason: string }> = {
  name: "comparison",
  schema: {
    type: "object",
    properties: { reason: { type: "string" }, better: { type: "string", enum: ["A", "B", "tie"] } },
    required: ["reason", "better"],
    additionalProperties: false,
  },
  words: `Answer with one JSON object and nothing after it, in this form: {"reason": "one or two sentences", "better": "A"}, where better is "A", "B" or "tie".`,
  read(fields) {
    const { better } = fields;
    return better === "A" || better === "B" || better === "tie"
      ? { verdict: { better, reason: reasonOf(fields) } }
      : { problem: `"better" must be "A", "B" or "tie"` };
  },
};
