import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bleu, chrf, rougeL, rougeN } from "../../../src/rewards/index.ts";

interface Case {
  readonly candidate: string;
  readonly references: readonly string[];
  readonly bleu: number;
  readonly chrf: number;
  readonly chrfPlus: number;
  readonly rouge: readonly { readonly rouge1: Triple; readonly rouge2: Triple; readonly rougeL: Triple }[];
}
/** precision, recall, f1 */
type Triple = readonly [number, number, number];

const { cases } = JSON.parse(readFileSync(new URL("../../golden/text/golden.json", import.meta.url), "utf8")) as {
  readonly cases: readonly Case[];
};

test.each(cases)("as sacrebleu and rouge-score: $candidate", ({ candidate, references, ...golden }) => {
  expect(bleu(candidate, references)).toBeCloseTo(golden.bleu, 12);
  expect(chrf(candidate, references)).toBeCloseTo(golden.chrf, 12);
  expect(chrf(candidate, references, { wordOrder: 2 })).toBeCloseTo(golden.chrfPlus, 12);
  for (const [i, reference] of references.entries()) {
    const { rouge1, rouge2, rougeL: longest } = golden.rouge[i]!;
    for (const [ours, theirs] of [
      [rougeN(candidate, reference, 1), rouge1],
      [rougeN(candidate, reference, 2), rouge2],
      [rougeL(candidate, reference)!, longest],
    ] as const)
      [ours.precision, ours.recall, ours.f1].forEach((value, k) => expect(value).toBeCloseTo(theirs[k]!, 12));
  }
});
