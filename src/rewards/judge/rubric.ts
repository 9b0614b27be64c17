import type { Message } from "../../data/row.ts";
import { GuerdonError } from "../../error.ts";
import type { CallContext } from "../calls.ts";
import type { Score } from "../grade.ts";
import { reward, type Graded, type Reward } from "../reward.ts";
import type { InputOf, Schema } from "../schema.ts";
import { enough, isError, judge, judgeByProbabilities, judgeSettings, type Form, type JudgeOptions } from "./ask.ts";
import { expectedRating } from "./probabilities.ts";
import { checkPrompt, fillPrompt, shippedPrompt, shippedVersion } from "./prompt.ts";
import { combineVotes, type Combine } from "./votes.ts";

export interface RubricOptions<S extends Schema<object> = Schema<object>> extends JudgeOptions {
  /** What to grade by, in words; or several criteria by name, which become the score's parts. */
  readonly rubric: string | Readonly<Record<string, string>>;
  /** The whole numbers that the judge may give; 1 to 5 unless said. */
  readonly scale?: readonly [worst: number, best: number];
  /** How votes become one grade; "mean" unless said. */
  readonly combine?: Combine;
  /** Columns that the prompt may show: `{{name}}`, one place for each. */
  readonly columns?: S;
}

/**
 * A model that rates each answer by a rubric. The value is 0 for the worst rating and 1 for the best; with several criteria it is the mean
 * of the parts. `from: "probabilities"` gives the expected rating under the model's own probabilities of the ratings (for one criterion,
 * and ratings 0 to 9), which separates answers that all get the same whole rating.
 *
 * A judgement that is refused, cut, filtered, unreachable or unreadable (after one repair try) is null with the reason.
 *
 * @throws GuerdonError "usage" for options out of range, or a prompt with a place that nothing fills
 */
export function rubricJudge<S extends Schema<object> = Schema<object>>(options: RubricOptions<S>): Reward<InputOf<S>> {
  const { rubric, scale = [1, 5], combine = "mean", columns, name = "rubric" } = options;
  const settings = judgeSettings("rubricJudge", options, shippedVersion);
  const [low, high] = scale;
  const refuse = (what: string): never => {
    throw new GuerdonError("usage", `rubricJudge: ${what}.`);
  };
  if (!(Number.isInteger(low) && Number.isInteger(high) && low < high))
    refuse(`scale must be two whole numbers, the lower first, not ${String(scale)}`);
  const criteria = typeof rubric === "string" ? null : Object.keys(rubric);
  if (criteria?.length === 0) refuse("rubric needs at least one criterion");
  if (settings.from === "probabilities") {
    if (criteria !== null) refuse("probabilities need a rubric in one piece, not several criteria");
    if (low < 0 || high > 9) refuse("probabilities need ratings from 0 to 9, because larger ones are several tokens");
  }
  const own = {
    rubric:
      typeof rubric === "string"
        ? rubric
        : Object.entries(rubric)
            .map(([key, text]) => `- ${key}: ${text}`)
            .join("\n"),
    low: String(low),
    high: String(high),
  };
  const labels = Array.from({ length: high - low + 1 }, (_, i) => String(low + i));
  const form = ratingForm(low, high, criteria);
  const unit = (rating: number): number => (rating - low) / (high - low);

  const grade = async (answer: Graded, context: CallContext): Promise<Score> => {
    const prompt = settings.prompt ?? (await shippedPrompt("rubric"));
    const ask = (format: string): Message[] =>
      fillPrompt(prompt, { own: { ...own, format }, foreign: foreignTexts(answer, prompt.places) });
    if (settings.from === "probabilities") {
      const said = await judgeByProbabilities(settings, ask(onlyOne(labels)), labels, context);
      if (said.error !== undefined) return { value: null, error: said.error };
      const rating = expectedRating(said.verdict.probabilities);
      return { value: unit(rating), note: `expected rating ${rating.toFixed(3)} of ${low} to ${high}` };
    }
    const verdicts = enough(await judge(settings, ask(form.words), form, context), settings.minimumVotes);
    if (isError(verdicts)) return { value: null, error: verdicts };
    const ratings = Object.keys(verdicts[0]!.ratings).map((key) => ({ key, votes: verdicts.map((one) => one.ratings[key]!) }));
    const parts = Object.fromEntries(ratings.map(({ key, votes }) => [key, unit(combineVotes(votes, combine))]));
    const values = Object.values(parts);
    return {
      value: values.reduce((total, one) => total + one, 0) / values.length,
      ...(criteria === null ? {} : { parts }),
      note: noteOf(ratings.map(({ key, votes }) => `${key} ${votes.join(" ")}`).join(", "), verdicts[0]!.reason),
    };
  };
  const version = settings.version([own, combine]);
  if (settings.prompt !== null)
    checkPrompt(settings.prompt, ["answer"], columns === undefined ? ["rubric", "low", "high", "prompt"] : null);
  return reward(name, { version, ...(columns === undefined ? {} : { columns }) }, grade) as Reward<InputOf<S>>;
}

interface Rated {
  readonly ratings: Readonly<Record<string, number>>;
  readonly reason: string;
}

/** `{ reason, rating }`, or `{ reason, ratings: { name: rating } }`; the reason comes first, so that the rating follows from it. */
function ratingForm(low: number, high: number, criteria: readonly string[] | null): Form<Rated> {
  const rating = { type: "integer", enum: Array.from({ length: high - low + 1 }, (_, i) => low + i) };
  const strict = (properties: Readonly<Record<string, object>>): object => ({
    type: "object",
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  });
  const example =
    criteria === null ? `"rating": ${low}` : `"ratings": {${criteria.map((key) => `${JSON.stringify(key)}: ${low}`).join(", ")}}`;
  return {
    name: "rating",
    schema: strict({
      reason: { type: "string" },
      ...(criteria === null ? { rating } : { ratings: strict(Object.fromEntries(criteria.map((key) => [key, rating]))) }),
    }),
    words: `Answer with one JSON object and nothing after it, in this form: {"reason": "one or two sentences", ${example}}`,
    read(fields) {
      const given = criteria === null ? { rating: fields["rating"] } : fields["ratings"];
      if (typeof given !== "object" || given === null) return { problem: `"ratings" must be an object` };
      const ratings: Record<string, number> = {};
      for (const key of criteria ?? ["rating"]) {
        const value = wholeNumber((given as Readonly<Record<string, unknown>>)[key]);
        if (value === null || value < low || value > high) return { problem: `"${key}" must be a whole number from ${low} to ${high}` };
        ratings[key] = value;
      }
      return { verdict: { ratings, reason: reasonOf(fields) } };
    },
  };
}

/** A whole number, or one written as a text, which some models prefer. */
function wholeNumber(value: unknown): number | null {
  const number = typeof value === "string" && /^\s*-?\d+\s*$/.test(value) ? Number(value) : value;
  return Number.isInteger(number) ? (number as number) : null;
}

export const reasonOf = (fields: Readonly<Record<string, unknown>>): string =>
  typeof fields["reason"] === "string" ? fields["reason"] : "";

export const onlyOne = (labels: readonly string[]): string => `Answer with one of ${labels.join(", ")}, and nothing else.`;

/** What a score says beside its value: the votes, and the first judgement's reason. */
export function noteOf(votes: string, reason: string): string {
  const line = reason.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim();
  return line === "" ? votes : `${votes}: ${line.length > 300 ? `${line.slice(0, 297)}...` : line}`;
}

/** What others wrote, by the name of its place: the question, the answer and the columns that the prompt shows. */
export function foreignTexts(answer: Graded, places: readonly string[]): Record<string, string> {
  const columns = answer as Readonly<Record<string, unknown>>;
  const shown = places.filter((one) => one !== "prompt" && one !== "answer" && columns[one] !== undefined);
  return {
    ...Object.fromEntries(shown.map((one) => [one, asText(columns[one])])),
    prompt: conversation(answer.prompt),
    answer: answer.text,
  };
}

const asText = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

/** A question as a judge reads it: the text, or the turns, each after its role. */
export const conversation = (prompt: string | readonly Message[]): string =>
  typeof prompt === "string"
    ? prompt
    : prompt.length === 1
      ? asText(prompt[0]!.content)
      : prompt.map(({ role, content }) => `${role}: ${asText(content)}`).join("\n\n");
