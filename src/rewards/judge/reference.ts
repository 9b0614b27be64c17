import type { CallContext } from "../calls.ts";
import type { Score } from "../grade.ts";
import { reward, type Graded, type Reward } from "../reward.ts";
import type { Schema } from "../schema.ts";
import { enough, isError, judge, judgeByProbabilities, judgeSettings, type Form, type JudgeOptions } from "./ask.ts";
import { checkPrompt, fillPrompt, shippedPrompt, shippedVersion } from "./prompt.ts";
import { foreignTexts, noteOf, onlyOne, reasonOf } from "./rubric.ts";
import { combineVotes, type Combine } from "./votes.ts";

export interface ReferenceOptions extends JudgeOptions {
  /** How votes become one grade; "mean" unless said. */
  readonly combine?: Combine;
}

/** A column `reference`: a text or a number, or a list of them, any of which is right. */
export interface WithReference {
  readonly reference: string | number | readonly (string | number)[];
}

/**
 * A model that says whether an answer agrees with the row's `reference`: 1 or 0, the share of votes that say yes, or with
 * `from: "probabilities"` the probability of yes against no. For answers that no verifier can compare; where one can, use that.
 *
 * A judgement that is refused, cut, filtered, unreachable or unreadable (after one repair try) is null with the reason.
 *
 * @throws GuerdonError "usage" for options out of range, or a prompt with a place that nothing fills
 */
export function referenceJudge(options: ReferenceOptions): Reward<WithReference> {
  const { combine = "mean", name = "reference" } = options;
  const settings = judgeSettings("referenceJudge", options, shippedVersion);
  if (settings.prompt !== null) checkPrompt(settings.prompt, ["reference", "answer"], ["prompt"]);
  const grade = async (answer: Graded<WithReference>, context: CallContext): Promise<Score> => {
    const prompt = settings.prompt ?? (await shippedPrompt("reference"));
    const { reference } = answer;
    const right = Array.isArray(reference) ? reference.map(String).join("\nor: ") : String(reference as string | number);
    const ask = (format: string) => fillPrompt(prompt, { own: { format }, foreign: { ...foreignTexts(answer, []), reference: right } });
    if (settings.from === "probabilities") {
      const words = `Is the answer correct? ${onlyOne(["yes", "no"])}`;
      const said = await judgeByProbabilities(settings, ask(words), ["yes", "no"], context);
      if (said.error !== undefined) return { value: null, error: said.error };
      const { yes, no } = said.verdict.probabilities as { readonly yes: number; readonly no: number };
      return { value: yes / (yes + no) };
    }
    const verdicts = enough(await judge(settings, ask(form.words), form, context), settings.minimumVotes);
    if (isError(verdicts)) return { value: null, error: verdicts };
    const votes = verdicts.map(({ correct }) => (correct ? 1 : 0));
    return {
      value: combineVotes(votes, combine),
      note: noteOf(votes.map((vote) => (vote === 1 ? "yes" : "no")).join(" "), verdicts[0]!.reason),
    };
  };
  return reward(name, { version: settings.version(combine), columns: referenceSchema }, grade);
}

const form: Form<{ readonly correct: boolean; readonly reason: string }> = {
  name: "verdict",
  schema: {
    type: "object",
    properties: { reason: { type: "string" }, correct: { type: "boolean" } },
    required: ["reason", "correct"],
    additionalProperties: false,
  },
  words: `Answer with one JSON object and nothing after it, in this form: {"reason": "one or two sentences", "correct": false}`,
  read(fields) {
    const { correct } = fields;
    return typeof correct === "boolean"
      ? { verdict: { correct, reason: reasonOf(fields) } }
      : { problem: `"correct" must be true or false` };
  },
};

const referenceSchema: Schema<WithReference> = {
  "~standard": {
    version: 1,
    vendor: "guerdon",
    validate(row) {
      const { reference } = row as Readonly<Record<string, unknown>>;
      const single = (value: unknown): boolean => typeof value === "number" || (typeof value === "string" && value.trim() !== "");
      const right = Array.isArray(reference) ? reference.length > 0 && reference.every(single) : single(reference);
      return right
        ? { value: { reference: reference as WithReference["reference"] } }
        : { issues: [{ message: "it must be a text that is not empty, a number, or a list of them", path: ["reference"] }] };
    },
  },
};
