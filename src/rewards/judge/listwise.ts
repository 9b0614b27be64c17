import { GuerdonError } from "../../error.ts";
import { shuffled, stream } from "../../statistics/stream.ts";
import { unscorable, type Score } from "../grade.ts";
import { reward, type Reward } from "../reward.ts";
import { enough, isError, judge, judgeSettings, type Form, type Judgement, type JudgeOptions } from "./ask.ts";
import { usualRubric } from "./pairwise.ts";
import { checkPrompt, fillPrompt, letter, shippedPrompt, shippedVersion } from "./prompt.ts";
import { conversation } from "./rubric.ts";
import { combineVotes } from "./votes.ts";

export interface ListwiseOptions extends Omit<JudgeOptions, "from"> {
  /** What makes an answer better, in words; correctness and helpfulness unless said. */
  readonly rubric?: string;
}

/**
 * A model that puts all answers to a question in order. The value of an answer is the share of the others that it is placed before: 1 for
 * the first, 0 for the last, averaged over votes. Every vote shows the answers in another order, drawn from the seed, so that a judge's
 * liking for a place averages out. For 2 to 26 answers; a group of one, or of more, is unscorable.
 *
 * One request a vote, where pairwiseJudge needs n (n - 1), and a coarser judgement: the answers share one context.
 *
 * @throws GuerdonError "usage" for options out of range, or a prompt with a place that nothing fills
 */
export function listwiseJudge(options: ListwiseOptions): Reward {
  const { rubric = usualRubric, name = "listwise" } = options;
  if ("from" in options && options.from !== "answer")
    throw new GuerdonError("usage", `listwiseJudge: an order has no token probabilities.`);
  const settings = judgeSettings("listwiseJudge", options, shippedVersion);
  if (settings.prompt !== null) checkPrompt(settings.prompt, ["answers"], ["rubric", "prompt"]);
  return reward.group(name, { version: settings.version(rubric) }, async (answers, context): Promise<Score[]> => {
    const count = answers.length;
    if (count < 2 || count > 26)
      return answers.map(() => unscorable("declined", `The reward "${name}" orders 2 to 26 answers to the same prompt, not ${count}.`));
    const prompt = settings.prompt ?? (await shippedPrompt("listwise"));
    const question = conversation(answers[0]!.prompt);
    const form = orderForm(count);
    const texts = answers.map(({ text }) => text);
    const votes = await Promise.all(
      Array.from({ length: settings.votes }, async (_, vote): Promise<Judgement<readonly number[]>> => {
        const order = shuffled(
          texts.map((_text, i) => i),
          stream(settings.sampling.seed, "listwise", vote, question, ...texts),
        );
        const messages = fillPrompt(prompt, {
          own: { rubric, format: form.words },
          foreign: { prompt: question, answers: order.map((i) => texts[i]!) },
        });
        const seeded = { ...settings, votes: 1, sampling: { ...settings.sampling, seed: settings.sampling.seed + vote } };
        const said = (await judge(seeded, messages, form, context))[0]!;
        return said.error === undefined ? { verdict: said.verdict.map((shown) => order[shown]!) } : said;
      }),
    );
    const orders = enough(votes, settings.minimumVotes);
    if (isError(orders)) return answers.map((): Score => ({ value: null, error: orders }));
    return answers.map((_, who): Score => {
      const places = orders.map((order) => order.indexOf(who));
      return {
        value: combineVotes(
          places.map((place) => (count - 1 - place) / (count - 1)),
          "mean",
        ),
        note: `place ${places.map((place) => place + 1).join(" ")} of ${count}`,
      };
    });
  });
}

/** `{ reason, ranking: ["B", "A", ...] }`: every letter once; read as places in the list that was shown. */
function orderForm(count: number): Form<readonly number[]> {
  const letters = Array.from({ length: count }, (_, i) => letter(i));
  return {
    name: "order",
    schema: {
      type: "object",
      properties: { reason: { type: "string" }, ranking: { type: "array", items: { type: "string", enum: letters } } },
      required: ["reason", "ranking"],
      additionalProperties: false,
    },
    words: `Answer with one JSON object and nothing after it, in this form: {"reason": "one or two sentences", "ranking": ${JSON.stringify(letters.toReversed())}}, where ranking has each of the letters ${letters.join(", ")} once, the best answer first.`,
    read(fields) {
      const { ranking } = fields;
      const places = Array.isArray(ranking) ? ranking.map((one: unknown) => letters.indexOf(String(one).trim())) : [];
      return places.length === count && new Set(places).size === count && !places.includes(-1)
        ? { verdict: places }
        : { problem: `"ranking" must have each of ${letters.join(", ")} once` };
    },
  };
}
