/**
 * Fills the README's marked blocks: examples from examples/, numbers from results/. `--check` changes nothing and fails when a block is
 * not what it would be, so that no number in the README is written by hand.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");

type Numbers = Readonly<Record<string, number>>;
interface MainJob {
  readonly chance: number;
  readonly evaluation: { readonly tasks: number; readonly samples: number };
  readonly machine: { readonly processor?: string; readonly cores?: number };
  readonly seeds: readonly { readonly seed: number; readonly before: Numbers; readonly after: Numbers; readonly seconds: Numbers }[];
  readonly methods:
    | readonly { readonly method: string; readonly steps: number; readonly seconds: number; readonly after: Numbers }[]
    | null;
}
interface Bench {
  readonly peer: string | null;
  readonly machine: { readonly processor: string; readonly node: string };
  readonly measurements: readonly {
    readonly name: string;
    readonly unit: string;
    readonly ours: number;
    readonly limit: number | null;
    readonly peer: number | null;
    readonly ratio: number | null;
  }[];
}

const read = <T>(name: string): T | null => {
  const path = join(root, "results", name);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as T) : null;
};
const missing = (command: string) => `*Not measured yet: \`${command}\` writes the numbers.*`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
const share = (x: number) => x.toFixed(3);
const average = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
const minutes = (seconds: number) => `${(seconds / 60).toFixed(1)} minutes`;

const measures: readonly (readonly [key: string, title: string])[] = [
  ["pass1", "pass@1 at temperature 1"],
  ["greedy", "greedy"],
  ["pass16", "pass@16"],
  ["majority16", "majority@16"],
  ["distinct", "distinct answers of 16"],
];
const shown = (key: string, x: number) => (key === "distinct" ? x.toFixed(1) : share(x));

function mainJob(): string {
  const file = read<MainJob>("main-job.json");
  if (!file) return missing("./guerdon bench main-job --seeds 3");
  const cell = (key: string, when: "before" | "after") => {
    const values = file.seeds.map((seed) => seed[when][key]!);
    return `${shown(key, average(values))} (${shown(key, Math.min(...values))} to ${shown(key, Math.max(...values))})`;
  };
  const seconds = file.seeds.map((seed) => seed.seconds["total"]!);
  return [
    table(
      ["", "after the warm-up", "after GRPO"],
      measures.map(([key, title]) => [title, cell(key, "before"), cell(key, "after")]),
    ),
    "",
    `Chance line: a player of random legal moves with right arithmetic wins ${share(file.chance)} of these tasks. One seed, with both evaluations, took ${minutes(Math.min(...seconds))} to ${minutes(Math.max(...seconds))}.`,
    `Measured by \`./guerdon bench main-job --seeds ${file.seeds.length}${file.methods ? " --compare" : ""}\` on ${file.evaluation.tasks} held-out draws: [results/main-job.json](results/main-job.json).`,
  ].join("\n");
}

function comparison(): string {
  const file = read<MainJob>("main-job.json");
  if (!file?.methods) return missing("./guerdon bench main-job --seeds 3 --compare");
  const start = file.seeds[0]!.before;
  return table(
    ["method", "steps", "seconds", ...measures.map(([, title]) => title)],
    [
      ["(after the warm-up)", "", "", ...measures.map(([key]) => shown(key, start[key]!))],
      ...file.methods.map(({ method, steps, seconds, after }) => [
        method,
        String(steps),
        seconds.toFixed(0),
        ...measures.map(([key]) => shown(key, after[key]!)),
      ]),
    ],
  );
}

function bench(): string {
  const file = read<Bench>("bench.json");
  if (!file) return missing("./guerdon bench");
  const number = (x: number) => (x >= 100 ? x.toFixed(0) : x.toPrecision(3));
  return [
    table(
      ["one thread, CPU time", "Guerdon", ...(file.peer ? [file.peer, "Guerdon / PyTorch"] : [])],
      file.measurements.map(({ name, unit, ours, peer, ratio }) => [
        name,
        `${number(ours)} ${unit}`,
        ...(file.peer ? [peer === null ? "" : `${number(peer)} ${unit}`, ratio === null ? "" : ratio.toFixed(2)] : []),
      ]),
    ),
    "",
    `Measured by \`./guerdon bench\` (${file.machine.processor}, Node ${file.machine.node}): [results/bench.json](results/bench.json).`,
  ].join("\n");
}

const blocks: Readonly<Record<string, () => string>> = { "main-job": mainJob, comparison, bench };

const path = join(root, "README.md");
const before = readFileSync(path, "utf8");
const after = before.replaceAll(
  /(<!-- (results|example): (\S+) -->\n)[\s\S]*?(<!-- \/\2 -->)/g,
  (_, open: string, kind: string, name: string, close: string) => {
    const body = kind === "example" ? `\`\`\`ts\n${readFileSync(join(root, name), "utf8").trim()}\n\`\`\`` : blocks[name]?.();
    if (body === undefined) throw new Error(`README.md has a block "${name}" that nothing fills`);
    return `${open}${body}\n${close}`;
  },
);
if (!process.argv.includes("--check")) writeFileSync(path, after);
else if (after !== before) {
  console.error("README.md does not show what examples/ and results/ hold: run node scripts/readme.ts");
  process.exitCode = 1;
}
