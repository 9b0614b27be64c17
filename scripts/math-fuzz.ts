/**
 * Hands hostile strings to the maths verifier, as answers, references and whole completions: nothing may throw, and no pair may take longer
 * than its deadline and 250 ms. Ends with exit code 1 when something did.
 *
 *   node scripts/math-fuzz.ts [pairs, 10000] [seed, 1]
 */
import fc from "fast-check";
import { extractAnswer } from "../src/rewards/verify/math/extract.ts";
import { sameAnswer } from "../src/rewards/verify/math/same-answer.ts";
import { warmSymbolic } from "../src/rewards/verify/math/symbolic.ts";
import { hostileText } from "../test/rewards/math/hostile.ts";

const count = Number(process.argv[2] ?? 10_000);
const seed = Number(process.argv[3] ?? 1);
const deadlineMs = 300;
await warmSymbolic();
const texts = fc.sample(hostileText, { seed, numRuns: count });
const verdicts: Record<string, number> = {};
let slowest = { ms: 0, text: "" };
const faults: string[] = [];
for (const [i, text] of texts.entries()) {
  const reference = i % 4 === 0 ? "42" : i % 4 === 1 ? "x^2+1" : texts[(i * 7 + 1) % texts.length]!;
  const start = performance.now();
  try {
    const answer = i % 2 === 0 ? text : (extractAnswer(text)?.answer ?? "");
    const verdict = await sameAnswer(answer, reference, { deadlineMs });
    const key = verdict.verdict === "cannot say" ? `${verdict.verdict}: ${verdict.reason}` : `${verdict.verdict} (${verdict.stage})`;
    verdicts[key] = (verdicts[key] ?? 0) + 1;
  } catch (cause) {
    faults.push(
      `${JSON.stringify(text.slice(0, 200))} against ${JSON.stringify(reference.slice(0, 200))} threw ${cause instanceof Error ? cause.stack : String(cause)}`,
    );
  }
  const ms = performance.now() - start;
  if (ms > slowest.ms) slowest = { ms, text: `${text.slice(0, 120)} against ${reference.slice(0, 120)}` };
  if (ms > deadlineMs + 250)
    faults.push(`${JSON.stringify(text.slice(0, 200))} against ${JSON.stringify(reference.slice(0, 200))} took ${ms.toFixed(0)} ms`);
}
for (const fault of faults.slice(0, 20)) console.error(fault);
console.log(
  JSON.stringify(
    { pairs: count, seed, deadlineMs, faults: faults.length, slowestMs: Math.round(slowest.ms), slowest: slowest.text, verdicts },
    null,
    2,
  ),
);
process.exit(faults.length > 0 ? 1 : 0);
