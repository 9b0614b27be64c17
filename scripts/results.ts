/**
 * Writes docs/results.md from the catalogue of papers and results/<slug>.json. `--check` changes nothing and fails when the page is not what
 * it would be, so that no number on it is written by hand.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { intervalText, thresholdText } from "../src/cli/claim-tables.ts";
import { short } from "../src/cli/screen.ts";
import { papers } from "../src/papers/catalogue.ts";
import { families } from "../src/papers/form.ts";
import type { Paper } from "../src/papers/paper.ts";
import { readRecord, type ClaimRecord } from "../src/papers/record.ts";
import { holm, mean } from "../src/statistics/index.ts";

const root = resolve(import.meta.dirname, "..");
const results = join(root, "results");
const page = join(root, "docs", "results.md");

interface Entry {
  readonly paper: Paper;
  readonly record: ClaimRecord | null;
}
type Check = ClaimRecord["checks"][number];

const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
const answer = (holds: boolean) => (holds ? "yes" : "**no**");
const probability = (p: number) => (p < 1e-4 ? "< 0.0001" : p.toFixed(4));
const anchor = (slug: string) => `[${slug}](#${slug})`;

/** p-values adjusted over all checks of the table that are tested, by check. */
function adjusted(entries: readonly Entry[]): ReadonlyMap<Check, number> {
  const tested = entries.flatMap(({ record }) => record?.checks ?? []).filter(({ p }) => p !== null);
  const all = holm(tested.map(({ p }) => p!));
  return new Map(tested.map((check, i) => [check, all[i]!]));
}

/** The probability that a check passes by luck where the truth stands at its threshold. */
const levelOf = ({ level }: Check): number => (1 - level) / 2;

function overview(entries: readonly Entry[]): string {
  return table(
    ["paper", "claim", "what is claimed", "main check", "measured, 95 % interval", "needed", "holds", "seeds", "CPU seconds"],
    entries.map(({ paper, record }) => {
      if (record === null) return [paper.slug, paper.claim.label, paper.claim.statement, "", "", "", "not run yet", "", ""];
      const [main] = record.checks;
      const { slug, label, statement, holds, seeds, seconds } = record;
      return [
        anchor(slug),
        label,
        statement,
        main!.say,
        intervalText(main!),
        thresholdText(main!),
        answer(holds) +
          (record.refuted.length === 0
            ? ""
            : `; ${record.refuted.length} further part${record.refuted.length === 1 ? "" : "s"} of the card's: **no**`),
        String(seeds.length),
        seconds.toFixed(0),
      ];
    }),
  );
}

function luck(entries: readonly Entry[], afterHolm: ReadonlyMap<Check, number>): string {
  const records = entries.flatMap(({ record }) => record ?? []);
  const checks = records.flatMap((record) => record.checks.map((check) => ({ record, check })));
  const tested = checks.filter(({ check }) => check.p !== null);
  const expected = tested.reduce((sum, { check }) => sum + levelOf(check), 0);
  const lost = tested.filter(({ check }) => check.holds && afterHolm.get(check)! > 0.05);
  return [
    `${records.filter(({ holds }) => holds).length} of ${records.length} claims hold${entries.length > records.length ? `; ${entries.length - records.length} were not run yet` : ""}. All arms and seeds together took ${(records.reduce((sum, { seconds }) => sum + seconds, 0) / 60).toFixed(1)} minutes of processor time.`,
    "",
    `**False alarms.** ${tested.length} of the ${checks.length} checks infer something from a sample of seeds; the others are exact. A check passes when its whole 95 % interval lies beyond the threshold, so that where a truth stands just at its threshold the check passes by luck with probability 0.025. Were that so for all of them, ${expected.toFixed(2)} of these checks would be expected to pass by luck. A claim needs all of its checks, so that fewer claims would.`,
    "",
    `**Holm's adjustment** over these ${tested.length} one-sided p-values keeps the probability of any false pass in the whole table at 0.05. ${
      lost.length === 0
        ? "Every check that holds stays below 0.05 after it."
        : `After it ${lost.length} of the ${tested.filter(({ check }) => check.holds).length} that hold ${lost.length === 1 ? "is" : "are"} above 0.05, and would need more seeds to stand in a table of this size: ${lost.map(({ record, check }) => `${anchor(record.slug)} (${check.say})`).join("; ")}.`
    }`,
  ].join("\n");
}

function section({ paper, record }: Entry, afterHolm: ReadonlyMap<Check, number>): string {
  const { slug, title, year, arxiv, summary, parts, claim } = paper;
  const source = arxiv === null ? String(year) : `[arXiv ${arxiv}](https://arxiv.org/abs/${arxiv}), ${year}`;
  const head = [
    `### ${slug}`,
    "",
    `*${title}* (${source}; ${paper.family}). ${summary}`,
    "",
    `Made of ${parts.map((part) => `\`${part}\``).join(", ")}.`,
  ];
  if (record === null) return [...head, "", `Not run yet: \`guerdon reproduce ${slug}\`.`].join("\n");
  return [
    ...head,
    "",
    `**Claim (${record.label}), ${record.holds ? "holds" : "does not hold"}.** ${record.statement}`,
    "",
    table(
      ["check", "measured, 95 % interval", "needed", "holds", "estimate", "p", "p after Holm"],
      [...record.checks, ...record.refuted].map((check) => [
        "why" in check ? `the card's, not claimed: ${check.say}` : check.say,
        intervalText(check),
        thresholdText(check),
        answer(check.holds),
        `${check.kind}, ${check.n} seeds`,
        check.p === null ? "" : probability(check.p),
        afterHolm.has(check) ? probability(afterHolm.get(check)!) : "",
      ]),
    ),
    ...record.refuted.flatMap(({ say, why }) => ["", `Does not show: ${say}. ${why}`]),
    ...record.checks.flatMap(({ say, changed }) =>
      changed === null ? [] : ["", `Changed threshold of "${say}": the card has ${changed.card}. ${changed.why}`],
    ),
    "",
    arms(record),
    "",
    `Falsified by: ${claim.falsifiedBy}`,
    "",
    `Equal budget: ${claim.budget}`,
    "",
    `Not claimed: ${claim.notMiniaturised}`,
    "",
    `Seeds ${record.seeds[0]} to ${record.seeds.at(-1)}; ${record.written.slice(0, 10)}, guerdon ${record.versions.guerdon}, Node ${record.versions.node}, ${record.machine.cpu}. Every number: [results/${slug}.json](../results/${slug}.json).`,
  ].join("\n");
}

/** The means over seeds of what each arm measured. */
function arms({ arms: measured, method, baseline, mustFail }: ClaimRecord): string {
  const metrics = [...new Set(Object.values(measured).flatMap((columns) => Object.keys(columns)))];
  const role = (arm: string) =>
    [arm === method && "the method", arm === baseline && "the baseline", mustFail.includes(arm) && "must fail"].filter(Boolean).join(", ");
  return table(
    ["arm", "", ...metrics.map((metric) => `${metric} (mean)`)],
    Object.entries(measured).map(([arm, columns]) => [
      arm,
      role(arm),
      ...metrics.map((metric) => (columns[metric] ? short(mean(columns[metric])) : "")),
    ]),
  );
}

function text(): string {
  const entries = papers
    .toSorted((a, b) => families.indexOf(a.family) - families.indexOf(b.family))
    .map((paper) => ({ paper, record: readRecord(results, paper.slug) }));
  const afterHolm = adjusted(entries);
  return [
    "# What the claims came to",
    "",
    "Written by `node scripts/results.ts` from what `guerdon reproduce` recorded in results/. [papers.md](papers.md) says what a claim is and how to",
    "add one. A claim is labelled *identity* (holds exactly), *mechanism* (the effect shows in a small system, against a baseline with the same",
    "budget) or *report* (needs the original scale: nothing is claimed, only parts are tested). One that does not hold is shown as not holding.",
    "A paper's *card* is what was written down of its claim before anything was run.",
    "",
    overview(entries),
    "",
    luck(entries, afterHolm),
    "",
    "## Paper by paper",
    "",
    entries.map((entry) => section(entry, afterHolm)).join("\n\n"),
    "",
  ].join("\n");
}

/** Records of claims that no paper makes, say after a paper was renamed. */
const strays = readdirSync(results).filter(
  (name) =>
    name.endsWith(".json") &&
    (JSON.parse(readFileSync(join(results, name), "utf8")) as { readonly format?: string }).format === "guerdon-claim" &&
    !papers.some(({ slug }) => `${slug}.json` === name),
);
if (strays.length > 0) {
  console.error(`results/ has records of claims that no paper makes: ${strays.join(", ")}`);
  process.exitCode = 1;
}
const after = text();
if (!process.argv.includes("--check")) writeFileSync(page, after);
else if (!existsSync(page) || readFileSync(page, "utf8") !== after) {
  console.error("docs/results.md does not show what results/ holds: run node scripts/results.ts");
  process.exitCode = 1;
}
