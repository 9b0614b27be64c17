import { mean } from "../../src/papers/estimates.ts";
import type { Claim, Paper, Results } from "../../src/papers/index.ts";

/** A paper in its right form, for tests that break one thing. */
export function somePaper(claim: Partial<Claim> = {}): Paper {
  return {
    slug: "some-paper",
    title: "Some paper",
    year: 2025,
    arxiv: "2501.00001",
    family: "reward design",
    summary: "A summary.",
    parts: ["credit/center"],
    claim: {
      label: "mechanism",
      statement: "The method needs fewer steps.",
      falsifiedBy: "As many steps.",
      arms: { method: () => ({ steps: 1 }), baseline: () => ({ steps: 2 }), broken: () => ({ steps: 3 }) },
      method: "method",
      baseline: "baseline",
      budget: "The same.",
      mustFail: ["broken"],
      checks: [
        { say: "steps of the method", of: mean("method", "steps"), below: 1.5 },
        { say: "steps of the baseline", of: mean("baseline", "steps"), above: 1.5 },
        { say: "steps without the part", of: mean("broken", "steps"), above: 2.5 },
      ],
      seeds: 2,
      seconds: 1,
      notMiniaturised: "Nothing.",
      ...claim,
    },
  };
}

/** Results of one metric, "x", from columns. */
export function columns(arms: Readonly<Record<string, readonly number[]>>, firstSeed = 0): Results {
  return {
    seeds: Object.values(arms)[0]!.map((_, i) => firstSeed + i),
    arms: Object.fromEntries(Object.entries(arms).map(([arm, values]) => [arm, values.map((x) => ({ x }))])),
  };
}
