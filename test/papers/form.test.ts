import { expect, test } from "vitest";
import { papers, mean, type Claim, type Paper } from "../../src/papers/index.ts";
import { checkForm } from "../../src/papers/form.ts";
import { somePaper } from "./kit.ts";

const wrong = (paper: unknown): string => {
  try {
    checkForm(paper, "some-paper");
  } catch (cause) {
    return (cause as Error).message;
  }
  return "nothing is wrong";
};
const paper = (change: Partial<Paper>) => wrong({ ...somePaper(), ...change });
const claim = (change: Partial<Claim>) => wrong(somePaper(change));

test("a paper in its right form passes", () => {
  expect(wrong(somePaper())).toBe("nothing is wrong");
  expect(paper({ arxiv: null })).toBe("nothing is wrong");
});

test("what cannot be shown is refused", () => {
  expect(wrong(undefined)).toBe("the paper some-paper: its file must export `paper`");
  expect(paper({ slug: "Some Paper" })).toContain('its slug is "Some Paper"');
  expect(paper({ slug: "other" })).toContain("its file has another name");
  expect(paper({ summary: " " })).toContain("no summary");
  expect(paper({ arxiv: "25.1" })).toContain('arXiv id is "25.1"');
  expect(paper({ family: "cooking" as Paper["family"] })).toContain('family is "cooking"');
  expect(paper({ parts: ["center"] })).toContain("such as credit/center");
});

test("a claim that cannot fail is refused", () => {
  const of = mean("method", "steps");
  const checks = somePaper().claim.checks;
  expect(claim({ mustFail: [] })).toContain("at least one arm that must fail");
  expect(claim({ label: "report", mustFail: [] })).toBe("nothing is wrong");
  expect(claim({ mustFail: ["lost"] })).toContain('names the arm "lost" as one that must fail; its arms are method, baseline, broken');
  expect(claim({ mustFail: ["broken", "method"] })).toContain('its method "method" cannot be an arm that must fail');
  expect(claim({ checks: checks.slice(0, 2) })).toContain('no check reads the arm "broken"');
  expect(claim({ checks: checks.slice(1) })).toContain('no check reads the arm "method"');
  expect(claim({ baseline: null })).toContain("a mechanism needs a baseline");
  expect(claim({ method: "lost" })).toContain('names the arm "lost" as the method');
  expect(claim({ checks: [] })).toContain("no checks");
  expect(claim({ checks: [{ say: "steps", of }, ...checks] })).toContain('the check "steps" has no threshold');
  expect(claim({ checks: [{ say: "steps", of, above: 2, below: 1 }, ...checks] })).toContain("more than 2 and less than 1");
  expect(claim({ checks: [{ say: "steps", of: mean("lost", "steps"), above: 2 }, ...checks] })).toContain('read by the check "steps"');
  expect(claim({ statement: "" })).toContain("does not say statement");
  expect(claim({ seeds: 0 })).toContain("asks for 0 seeds");
});

test("every paper of the catalogue is in its right form, and made of parts that are there", async () => {
  expect(new Set(papers.map(({ slug }) => slug)).size).toBe(papers.length);
  for (const one of papers) {
    checkForm(one, one.slug);
    for (const part of one.parts) {
      const [room, name] = part.split("/") as [string, string];
      const index = (await import(`../../src/${room}/index.ts`)) as Readonly<Record<string, unknown>>;
      expect(Object.keys(index), `${one.slug} is made of ${part}`).toContain(name);
    }
  }
});
