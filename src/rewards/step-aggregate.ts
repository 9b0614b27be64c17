/** How the scores of an answer's steps become one number. */
export type StepAggregate = keyof typeof aggregates;

const total = (scores: readonly number[]): number => scores.reduce((sum, score) => sum + score, 0);
const mean = (scores: readonly number[]): number => total(scores) / scores.length;
const odds = (p: number): number => p / (1 - p);

const aggregates = {
  mean,
  sum: total,
  min: (scores) => Math.min(...scores),
  max: (scores) => Math.max(...scores),
  product: (scores) => scores.reduce((product, score) => product * score, 1),
  last: (scores) => scores.at(-1)!,
  "geometric mean": (scores) => Math.exp(mean(scores.map(Math.log))),
  "mean logit": (scores) => 1 / (1 + Math.exp(-mean(scores.map((p) => Math.log(odds(p)))))),
  "mean odds": (scores) => mean(scores.map(odds)),
} satisfies Readonly<Record<string, (scores: readonly number[]) => number>>;

export const stepAggregates = Object.keys(aggregates) as readonly StepAggregate[];

/**
 * One number for an answer from the scores of its steps. The geometric mean needs scores that are not negative; "mean logit" (the logistic
 * function of the mean log-odds) and "mean odds" need probabilities below 1. Elsewhere the result is not a number, which no reward accepts.
 *
 * @param scores at least one
 */
export const stepAggregate = (scores: readonly number[], how: StepAggregate): number => aggregates[how](scores);
