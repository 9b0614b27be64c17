import fc from "fast-check";
import { expect, test } from "vitest";
import { extractAnswer } from "../../../src/rewards/index.ts";
import { settle } from "../../../src/rewards/verify/math/same-answer.ts";
import { processorTime } from "../../kit/crowding.ts";
import { hostileText } from "./hostile.ts";
import { heldOut, readPairs } from "./corpus.ts";

const verdict = (answer: string, reference: string): string => {
  const settled = settle(answer, reference, {}, performance.now() + 60_000);
  return "verdict" in settled ? settled.verdict : "open";
};
const same = (answer: string, reference: string): void => expect(verdict(answer, reference), `${answer}  |  ${reference}`).toBe("same");

const small = fc.integer({ min: -99, max: 99 });
const positive = fc.integer({ min: 1, max: 99 });
const leaf = fc.oneof(
  small.map(String),
  fc.constantFrom("x", "y", "a", "\\pi"),
  fc.tuple(small, positive).map(([n, d]) => `\\frac{${n}}{${d}}`),
);
/** Well-formed LaTeX expressions, defined almost everywhere. */
const expression = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    leaf,
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => `${a}+${b.startsWith("-") ? `(${b})` : b}`),
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => `\\left(${a}\\right)\\left(${b}\\right)`),
    fc.tuple(tie("node"), positive).map(([a, d]) => `\\frac{${a}}{${d}}`),
    fc.tuple(tie("node"), fc.integer({ min: 2, max: 4 })).map(([a, n]) => `(${a})^{${n}}`),
  ),
})).node;
const value = fc.tuple(small, positive).map(([n, d]) => `\\frac{${n}}{${d}}`);
const answer = fc.oneof(
  expression,
  fc.array(value, { minLength: 2, maxLength: 5 }).map((list) => list.join(", ")),
  fc.array(value, { minLength: 1, maxLength: 5 }).map((list) => `\\{${list.join(", ")}\\}`),
  fc.array(value, { minLength: 2, maxLength: 4 }).map((list) => `(${list.join(", ")})`),
  fc
    .tuple(fc.constantFrom("(", "["), small, positive, fc.constantFrom(")", "]"))
    .map(([open, low, width, close]) => `${open}${low}, ${low + width}${close}`),
  fc.tuple(small, positive).map(([low, width]) => `${low} < x \\le ${low + width}`),
  expression.map((side) => `z = ${side}`),
);

test("every answer is itself, however it is laid out", () => {
  fc.assert(
    fc.property(answer, (text) => {
      same(text, text);
      same(`$${text}$`, text);
      same(`\\[ ${text} \\]`, text);
      same(`\\displaystyle ${text}`, text);
      same(`\\boxed{${text}}`, text);
      same(text.replace(/([+(),])/g, " $1 "), text);
      same(text.replace(/\\left|\\right/g, ""), text);
      same(text.replaceAll("\\frac", "\\dfrac"), text);
    }),
    { numRuns: 150, seed: 1 },
  );
});

test("sums and products commute, brackets may be multiplied out", () => {
  fc.assert(
    fc.property(expression, expression, expression, (a, b, c) => {
      same(`(${a})+(${b})`, `(${b})+(${a})`);
      same(`(${a})(${b})`, `(${b}) \\cdot (${a})`);
      same(`(${a})((${b})+(${c}))`, `(${a})(${b})+(${a})(${c})`);
      same(`(${a})-(${b})`, `-((${b})-(${a}))`);
    }),
    { numRuns: 100, seed: 2 },
  );
});

// Doubles do not tell irrational numbers apart that agree to eleven digits; none of these do.
test("a value that is off by a little is another one", () => {
  fc.assert(
    fc.property(expression, fc.constantFrom("1", "\\frac{1}{1000}", "x", "y", "\\frac{\\pi}{99}"), (a, little) => {
      expect(verdict(`(${a})+${little}`, a), `${a} + ${little}`).toBe("different");
    }),
    { numRuns: 150, seed: 3 },
  );
});

test("whole numbers and fractions are compared exactly", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 60n), max: 10n ** 60n }), fc.bigInt({ min: 1n, max: 10n ** 40n }), (n, d) => {
      same(`\\frac{${n}}{${d}}`, `\\frac{${n * 7n}}{${d * 7n}}`);
      expect(verdict(`\\frac{${n}}{${d}}`, `\\frac{${n + 1n}}{${d}}`)).toBe("different");
      same(String(n), `${n}.0`);
    }),
    { numRuns: 100, seed: 4 },
  );
});

test("sets and lists have no order, tuples have one", () => {
  fc.assert(
    fc.property(fc.uniqueArray(small, { minLength: 2, maxLength: 6 }), (list) => {
      const reversed = [...list].reverse();
      same(`\\{${list.join(",")}\\}`, `\\{${reversed.join(", ")}\\}`);
      same(list.join(", "), reversed.join(" , "));
      if (list.length > 2) expect(verdict(`(${list.join(",")})`, `(${reversed.join(",")})`)).toBe("different");
      expect(verdict(list.slice(1).join(", "), list.join(", "))).toBe("different");
      expect(verdict(list.join(", "), list.slice(1).join(", "))).toBe("different");
    }),
    { numRuns: 100, seed: 5 },
  );
});

test("an interval, its inequality and its words are one; other ends or brackets are another", () => {
  fc.assert(
    fc.property(small, positive, fc.boolean(), fc.boolean(), (low, width, openLow, openHigh) => {
      const high = low + width;
      const interval = (l: number, h: number, ol: boolean, oh: boolean): string => `${ol ? "(" : "["}${l}, ${h}${oh ? ")" : "]"}`;
      const text = interval(low, high, openLow, openHigh);
      same(`${low} ${openLow ? "<" : "\\le"} x ${openHigh ? "<" : "\\leq"} ${high}`, text);
      same(`${high} ${openHigh ? ">" : "\\ge"} t ${openLow ? ">" : "\\geq"} ${low}`, text);
      same(`x \\in ${text}`, text);
      expect(verdict(interval(low, high, !openLow, openHigh), text)).toBe("different");
      expect(verdict(interval(low, high + 1, openLow, openHigh), text)).toBe("different");
    }),
    { numRuns: 100, seed: 6 },
  );
});

test("judging is symmetrical, but for the percent sign and the glued letter of a unit that an answer may have", () => {
  for (const pair of readPairs()) {
    if (heldOut(pair) || pair.answer === undefined || /%|percent|per cent|\dm²/.test(pair.answer + pair.reference)) continue;
    expect(verdict(pair.reference, pair.answer), `${pair.reference}  |  ${pair.answer}`).toBe(verdict(pair.answer, pair.reference));
  }
});

test("layout changes no verdict of the corpus", () => {
  for (const pair of readPairs()) {
    if (heldOut(pair) || pair.answer === undefined || /\$|€|£|¥|text/.test(pair.answer)) continue;
    const before = verdict(pair.answer, pair.reference);
    for (const changed of [
      `$${pair.answer}$`,
      ` ${pair.answer} `,
      `\\boxed{${pair.answer}}`,
      `\\displaystyle ${pair.answer}`,
      `\\(${pair.answer}\\)`,
    ])
      expect(verdict(changed, pair.reference), `${changed}  |  ${pair.reference}`).toBe(before);
  }
});

test("no text breaks it", async () => {
  await fc.assert(
    fc.asyncProperty(hostileText, hostileText, async (a, b) => {
      // Time of the processor, which others on the machine cannot lengthen.
      expect(await processorTime(() => settle(extractAnswer(a)?.answer ?? a, b, {}, performance.now() + 100))).toBeLessThan(350);
    }),
    { numRuns: 1500, seed: 7 },
  );
});

test("extraction is linear: long texts of unfinished markup take no time", async () => {
  for (const piece of ["\\boxed{", "$", "\\(", "the answer is ", "```\n", "{", "1,", "((", "<think>", "\\boxed{1} and "]) {
    const text = piece.repeat(Math.ceil(150_000 / piece.length));
    expect(await processorTime(() => extractAnswer(text)), piece).toBeLessThan(1500);
  }
});
