/**
 * How accurate the maths verifier is on test/rewards/math/corpus.jsonl, by category: accuracy, wrong answers accepted, right ones rejected,
 * pairs that it could not judge; the pairs that tuning may look at and the held-out third (by hash) apart; and pairs a second, nothing cached.
 *
 *   node scripts/math-accuracy.ts [--failures] [--held-out-failures] [--json file] [--cases file]
 *
 * `--cases` takes another file of pairs, such as the cases of Math-Verify's own tests that scripts/math-verify.py writes.
 *
 * Failures of the held-out third are counted, not shown, unless they are asked for: who has seen them can hold nothing out any more.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { extractAnswer } from "../src/rewards/verify/math/extract.ts";
import { referenceAnswer } from "../src/rewards/verify/math/math-answer.ts";
import { sameAnswer, type Verdict } from "../src/rewards/verify/math/same-answer.ts";
import { heldOut as isHeldOut, readPairs, type Pair } from "../test/rewards/math/corpus.ts";
import { warmSymbolic } from "../src/rewards/verify/math/symbolic.ts";

interface Tally {
  pairs: number;
  right: number;
  falseAccepts: number;
  falseRejects: number;
  cannotSay: number;
}

const { values: flags } = parseArgs({
  options: { failures: { type: "boolean" }, "held-out-failures": { type: "boolean" }, json: { type: "string" }, cases: { type: "string" } },
});
const pairs = readPairs(flags.cases);
const heldOut = flags.cases === undefined ? isHeldOut : () => false;

async function judge(pair: Pair): Promise<Verdict | null> {
  const answer = pair.completion === undefined ? pair.answer! : extractAnswer(pair.completion)?.answer;
  return answer === undefined
    ? null
    : sameAnswer(answer, referenceAnswer(pair.reference), pair.tolerance === undefined ? {} : { tolerance: pair.tolerance });
}

const none = (): Tally => ({ pairs: 0, right: 0, falseAccepts: 0, falseRejects: 0, cannotSay: 0 });
const tallies = { tuning: new Map<string, Tally>(), heldOut: new Map<string, Tally>() };
const stages: Record<string, number> = {};
let slowest = 0;

await warmSymbolic();
for (const pair of pairs) {
  const start = performance.now();
  const verdict = await judge(pair);
  slowest = Math.max(slowest, performance.now() - start);
  const said = verdict === null ? "different" : verdict.verdict;
  const stage = verdict === null ? "no answer" : "stage" in verdict ? verdict.stage : verdict.reason;
  stages[stage] = (stages[stage] ?? 0) + 1;
  const part = heldOut(pair) ? "heldOut" : "tuning";
  const tally = tallies[part].get(pair.category) ?? none();
  tallies[part].set(pair.category, tally);
  tally.pairs++;
  if (said === (pair.same ? "same" : "different")) tally.right++;
  else {
    if (said === "cannot say") tally.cannotSay++;
    else if (said === "same") tally.falseAccepts++;
    else tally.falseRejects++;
    if (part === "tuning" ? flags.failures : flags["held-out-failures"])
      console.error(
        `${pair.category}: ${pair.answer ?? JSON.stringify(pair.completion!.slice(-300))} ${pair.same ? "is" : "is not"} ${pair.reference.slice(-300)}, but: ${said} (${stage})`,
      );
  }
}

// Several passes: one is over too soon to be timed.
const passes = 5;
const start = performance.now();
for (let i = 0; i < passes; i++) for (const pair of pairs) await judge(pair);
const pairsPerSecond = Math.round((passes * pairs.length * 1000) / (performance.now() - start));

const sum = (map: Map<string, Tally>): Tally =>
  [...map.values()].reduce((a, b) => {
    for (const key of Object.keys(a) as (keyof Tally)[]) a[key] += b[key];
    return a;
  }, none());
const share = ({ right, pairs: all }: Tally): string => (all === 0 ? "-" : `${((100 * right) / all).toFixed(1)} %`);
console.log("category            tuning                      held out");
console.log("                    pairs right    fa  fr  cs   pairs right    fa  fr  cs");
const line = (name: string, a: Tally, b: Tally): string =>
  name.padEnd(20) +
  [a, b]
    .map(
      (one) =>
        String(one.pairs).padStart(5) +
        share(one).padStart(9) +
        [one.falseAccepts, one.falseRejects, one.cannotSay].map((n) => String(n).padStart(4)).join(""),
    )
    .join("  ");
for (const category of new Set(pairs.map((pair) => pair.category)))
  console.log(line(category, tallies.tuning.get(category) ?? none(), tallies.heldOut.get(category) ?? none()));
const totals = { tuning: sum(tallies.tuning), heldOut: sum(tallies.heldOut) };
console.log(line("all", totals.tuning, totals.heldOut));
console.log(
  `fa: false accepts, fr: false rejects, cs: cannot say. ${pairsPerSecond} pairs/s in one thread, slowest pair ${slowest.toFixed(0)} ms. Decided by: ${JSON.stringify(stages)}`,
);
if (flags.json)
  writeFileSync(
    flags.json,
    `${JSON.stringify({ ...totals, pairsPerSecond, slowestMs: Math.round(slowest), stages, categories: Object.fromEntries([...tallies.tuning].map(([name, tally]) => [name, { tuning: tally, heldOut: tallies.heldOut.get(name) ?? none() }])) }, null, 2)}\n`,
  );
process.exit(0);
