import { GuerdonError } from "../error.ts";
import type { Claim, Family } from "./claim.ts";
import type { Paper } from "./paper.ts";

/** Every family, in the order in which they are shown. */
export const families: readonly Family[] = [
  "reward models",
  "reward design",
  "policy optimisation",
  "preference optimisation",
  "diffusion and flow",
  "search, exploration and control",
];

/**
 * Checks that a paper can be shown and its claim can fail: names match, every check has a threshold, and every arm that must fail, the
 * method and its baseline are read by a check.
 *
 * @param given what a paper's file exports; it may be JavaScript, or was never type-checked
 * @param file the file's name without its ending, which is the slug
 * @throws GuerdonError "input" that says what is wrong
 */
export function checkForm(given: unknown, file: string): asserts given is Paper {
  const fail = (what: string): never => {
    throw new GuerdonError("input", `the paper ${file}: ${what}`);
  };
  const need = (right: boolean, what: string): void => void (right || fail(what));
  const paper = given as Partial<Paper> | null | undefined;
  const written = (text: unknown): boolean => typeof text === "string" && text.trim() !== "";

  if (typeof paper !== "object" || paper === null) return fail("its file must export `paper`");
  need(
    /^[a-z0-9]+(-[a-z0-9]+)*$/.test(paper.slug ?? ""),
    `its slug is ${JSON.stringify(paper.slug)}; use small letters, digits and dashes`,
  );
  need(paper.slug === file, `its slug is "${paper.slug}", and its file has another name`);
  for (const field of ["title", "summary"] as const) need(written(paper[field]), `it has no ${field}`);
  need(Number.isInteger(paper.year) && paper.year! > 1900, `its year is ${paper.year}`);
  need(
    paper.arxiv === null || /^(\d{4}\.\d{4,5}|[a-z-]+\/\d{7})$/.test(paper.arxiv ?? ""),
    `its arXiv id is ${JSON.stringify(paper.arxiv)}`,
  );
  need(families.includes(paper.family!), `its family is ${JSON.stringify(paper.family)}; there are ${families.join("; ")}`);
  need(
    Array.isArray(paper.parts) && paper.parts.length > 0 && paper.parts.every((part) => /^[a-z]+\/[A-Za-z]\w*$/.test(part)),
    "its parts must be names of shared parts such as credit/center",
  );
  checkClaim(paper.claim, need, written);
}

function checkClaim(claim: Claim | undefined, need: (right: boolean, what: string) => void, written: (text: unknown) => boolean): void {
  need(typeof claim === "object" && claim !== null, "it has no claim");
  const { label, arms, method, baseline, mustFail, checks, seeds, seconds } = claim!;
  need(["identity", "mechanism", "report"].includes(label), `its claim's label is ${JSON.stringify(label)}`);
  for (const field of ["statement", "falsifiedBy", "budget", "notMiniaturised"] as const)
    need(written(claim![field]), `its claim does not say ${field}`);
  need(Number.isInteger(seeds) && seeds >= 1, `its claim asks for ${seeds} seeds`);
  need(seconds > 0, `its claim may take ${seconds} seconds`);

  const names = Object.keys(arms ?? {});
  const known = (arm: string, as: string): void =>
    need(names.includes(arm), `its claim names the arm "${arm}" as ${as}; its arms are ${names.join(", ")}`);
  known(method, "the method");
  if (baseline !== null) known(baseline, "the baseline");
  need(label !== "mechanism" || baseline !== null, "a mechanism needs a baseline");
  need(label === "report" || mustFail.length > 0, "its claim needs at least one arm that must fail");
  for (const arm of mustFail) {
    known(arm, "one that must fail");
    need(arm !== method, `its method "${arm}" cannot be an arm that must fail`);
  }

  need(checks.length > 0, "its claim has no checks");
  for (const { why } of claim!.refuted ?? []) need(written(why), "one of the parts that do not show does not say why");
  for (const { say, of, above, below } of [...checks, ...(claim!.refuted ?? [])]) {
    need(written(say), "one of its checks does not say what is measured");
    need(above !== undefined || below !== undefined, `the check "${say}" has no threshold`);
    for (const threshold of [above, below])
      need(threshold === undefined || Number.isFinite(threshold), `the check "${say}" has the threshold ${threshold}`);
    need(
      above === undefined || below === undefined || above < below,
      `the check "${say}" asks for more than ${above} and less than ${below}`,
    );
    for (const arm of of.arms) known(arm, `read by the check "${say}"`);
  }
  const read = new Set(checks.flatMap(({ of }) => of.arms));
  for (const arm of new Set([method, ...(baseline === null ? [] : [baseline]), ...mustFail]))
    need(read.has(arm), `no check reads the arm "${arm}"`);
}
