import { papers as catalogue } from "../../papers/catalogue.ts";
import { families } from "../../papers/form.ts";
import type { Paper } from "../../papers/paper.ts";
import { readRecord, type ClaimRecord } from "../../papers/record.ts";
import { checkTable } from "../claim-tables.ts";
import { command } from "../command.ts";
import { catalogueFile, inputsOf } from "../papers.ts";
import { wrapped, type Screen } from "../screen.ts";
import { didYouMean } from "../suggest.ts";
import { table } from "../table.ts";

/** `guerdon papers`: lists the papers in which every word occurs, and shows one in full when it is the only one. */
export async function papers(
  screen: Screen,
  words: readonly string[],
  { results = "results" }: { readonly results?: string },
): Promise<void> {
  const exact = words.length === 1 ? catalogue.filter(({ slug }) => slug === words[0]) : [];
  const found = exact.length > 0 ? exact : catalogue.filter((paper) => words.every((word) => textOf(paper).includes(word.toLowerCase())));
  const listed = found
    .toSorted((a, b) => families.indexOf(a.family) - families.indexOf(b.family))
    .map((paper) => entry(paper, readRecord(results, paper.slug)));
  if (catalogue.length === 0) screen.say("There are no papers yet.");
  else if (listed.length === 0)
    screen.say(
      `No paper has ${words.length === 1 ? "the word" : "all the words"} ${words.join(" ")}.${didYouMean(words.join("-"), slugsAndWords())}`,
    );
  const text = listed.length === 1 ? detail(screen, listed[0]!) : listed.length > 1 ? list(listed, screen.width) : "";
  if (listed.length > 0 || screen.json) screen.result(text, { papers: listed.map(json) });
}

interface Entry {
  readonly paper: Paper;
  readonly record: ClaimRecord | null;
  /** Whether the record is one of the code as it is now. */
  readonly current: boolean;
}

const entry = (paper: Paper, record: ClaimRecord | null): Entry => ({
  paper,
  record,
  current: record !== null && record.inputs === inputsOf({ paper, path: catalogueFile(paper.slug) }),
});

const textOf = ({ slug, title, summary, family, parts, arxiv, year }: Paper): string =>
  [slug, title, summary, family, arxiv, year, ...parts].join(" ").toLowerCase();

const slugsAndWords = (): readonly string[] => catalogue.flatMap(({ slug, title }) => [slug, ...title.toLowerCase().split(/\W+/)]);

const held = ({ record, current }: Entry): string =>
  record === null ? "not recorded" : `${record.holds ? "yes" : "NO"}${current ? "" : ", with earlier code"}`;

/** A narrow screen has no place for the families; the papers stand in their order anyway. */
function list(listed: readonly Entry[], width: number): string {
  const wide = width >= 100;
  return table(
    ["paper", "title", ...(wide ? ["family"] : []), "claim", "held"],
    listed.map((one) => {
      const { slug, title, family, claim } = one.paper;
      return [slug, cut(title, Math.max(25, width - (wide ? 75 : 50))), ...(wide ? [family] : []), claim.label, held(one)];
    }),
  );
}

const cut = (text: string, width: number): string => (text.length > width ? `${text.slice(0, width - 1)}…` : text);

/** One paper: what it says, what it is made of, and what became of its claim. */
function detail(screen: Screen, { paper, record, current }: Entry): string {
  const { slug, title, year, arxiv, family, summary, parts, claim } = paper;
  const bold = (text: string) => screen.resultStyle("bold", text);
  const lines: readonly (readonly [string, string])[] = [
    ["summary", summary],
    ["made of", parts.join(", ")],
    [`claim (${claim.label})`, claim.statement],
    ["falsified by", claim.falsifiedBy],
    [
      "arms",
      Object.keys(claim.arms)
        .map((arm) => `${arm}${role(paper, arm)}`)
        .join(", "),
    ],
    ["equal budget", claim.budget],
    ["not claimed", claim.notMiniaturised],
  ];
  return [
    `${bold(slug)}  ${title} (${year}${arxiv === null ? "" : `, arXiv ${arxiv}`}); ${family}`,
    ...lines.map(
      ([name, text]) =>
        `${bold(name)}\n${wrapped(text, screen.width - 2)
          .map((line) => `  ${line}`)
          .join("\n")}`,
    ),
    record === null
      ? `Not recorded yet in the folder of --results: ${command} reproduce ${slug}`
      : `${bold("last run")}  ${record.written.slice(0, 10)}, ${record.seeds.length} seeds${current ? "" : ", with earlier code"}: ${record.holds ? "holds" : "does not hold"}\n${checkTable(record, screen.width, true)}`,
    ...(paper.method === undefined ? [] : [`Train with it: ${command} train countdown --method ${slug}`]),
  ].join("\n");
}

function role({ claim }: Paper, arm: string): string {
  if (arm === claim.method) return " (the method)";
  if (arm === claim.baseline) return " (the baseline)";
  return claim.mustFail.includes(arm) ? " (must fail)" : "";
}

function json({ paper, record, current }: Entry) {
  const { slug, title, year, arxiv, family, summary, parts, method, claim } = paper;
  const { label, statement, falsifiedBy, seeds, seconds } = claim;
  return {
    slug,
    title,
    year,
    arxiv,
    family,
    summary,
    parts,
    trains: method !== undefined,
    claim: {
      label,
      statement,
      falsifiedBy,
      arms: Object.keys(claim.arms),
      method: claim.method,
      baseline: claim.baseline,
      mustFail: claim.mustFail,
      seeds,
      seconds,
    },
    lastRun: record && { holds: record.holds, current, written: record.written, seeds: record.seeds.length, checks: record.checks },
  };
}
