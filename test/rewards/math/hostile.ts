import fc from "fast-check";

const pieces = [
  ..."0 1 2 7 42 1,000 3.14 .5 1e9 1e99999 x y n i e \\pi \\infty + - * / ^ _ = < > \\le ( ) [ ] { } \\{ \\} | , ; : ! % $ & \\\\ \\frac \\frac12 \\sqrt \\sqrt[ \\binom \\left( \\right) \\boxed{ \\text{ \\pm \\cup \\in \\sum_{k=1}^ \\begin{pmatrix} \\end{pmatrix} \\log_ \\sin ^\\circ \\overline{ \\mathbb{R} and or 9^{9^9} ^{ 100! \\ldots é ½ ² π ≤ 𝔸 cm \\cm".split(
    " ",
  ),
  " ",
  "\n",
  "The answer is ",
  "```",
];

/** LaTeX without sense: its signs in any order, deep nesting, towers of powers, and strings of anything at all. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: fc.array(fc.constantFrom(...pieces), { maxLength: 24 }).map((list) => list.join("")) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.constantFrom("(", "{", "[", "\\frac{", "\\sqrt{", "2^{", "a_{", "|", "-", "\\{", "\\boxed{", "\\sin ", "\\text{"),
        fc.integer({ min: 1, max: 900 }),
        fc.constantFrom("1", "x", ""),
      )
      .map(([open, depth, core]) => open.repeat(depth) + core + "}".repeat(depth % 3 === 0 ? depth : 0)),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.integer({ min: 0, max: 99_999 }),
        fc.constantFrom(
          "!",
          "!!",
          "^{99999}",
          "^{9^{9}}",
          "^{x^{x^{x}}}",
          "\\binom{99999}{50000}",
          "\\sum_{k=1}^{99999}\\sum_{j=1}^{99999} k j",
          "\\prod_{k=1}^{2000} k^{2000}",
          "9".repeat(1500),
        ),
        fc.constantFrom("", "!", "+1", "^{0.5}", "/3"),
      )
      .map((parts) => parts.join("")),
  },
);
