/**
 * Fills the marked blocks of the README and of docs/cluster.md: examples from examples/, numbers from results/ and integrations/. `--check`
 * changes nothing and fails when a block is not what it would be, so that no number there is written by hand.
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
interface Ran {
  readonly written: string;
  readonly command: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly versions: { readonly node: string } };
}
interface Ceiling extends Ran {
  readonly threads: number;
  readonly cases: readonly {
    readonly layers: number;
    readonly width: number;
    readonly vocabulary: number;
    readonly rows: number;
    readonly context: number;
    readonly train: "all" | "lora";
    readonly parameters: number;
    readonly failed?: string;
    readonly seconds?: { readonly sampling: number; readonly backward: number; readonly update: number; readonly step: number };
    readonly peakGiB?: number;
  }[];
}
interface RoundTrip extends Ran {
  readonly threads: number;
  readonly pairs: number;
  readonly step: { readonly tasks: number; readonly groupSize: number; readonly meanTokens: number };
  readonly seconds: { readonly median: Numbers };
  readonly interval: { readonly estimate: number; readonly low: number; readonly high: number };
}
interface Skyrl extends Ran {
  readonly versions: Readonly<Record<string, string>>;
  readonly adapters: readonly { readonly method: string; readonly end: { readonly moved: number; readonly largestDifference: number } }[];
  readonly steps: readonly {
    readonly method: string;
    readonly step: number;
    readonly skyrl: { readonly loss: number; readonly gradientNorm: number };
    readonly local: { readonly loss: number; readonly gradientNorm: number };
    readonly logProbs: { readonly samplerToLocal: number };
  }[];
}
interface Sdk extends Ran {
  readonly sdks: readonly {
    readonly versions: Readonly<Record<string, string>>;
    readonly steps: readonly { readonly name: string; readonly gradientNorm: number; readonly local: number }[];
    readonly differences: Numbers;
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

const ran = ({ command, written, machine }: Ran, file: string): string =>
  `Measured by \`${command}\` on ${written.slice(0, 10)} (${machine.cpu}, ${machine.cores} cores, Node ${machine.versions.node}): [${file}](../${file}).`;

function ceiling(): string {
  const file = read<Ceiling>("ceiling.json");
  if (!file) return missing("node --conditions=guerdon-source bench/ceiling.ts");
  const number = (x: number) => (x >= 10 ? x.toFixed(0) : x.toPrecision(2));
  return [
    table(
      [
        "parameters",
        "layers x width, vocabulary",
        "rows x tokens",
        "trained",
        "sampling",
        "backward",
        "update",
        "seconds a step",
        "peak memory",
      ],
      file.cases.map(({ parameters, layers, width, vocabulary, rows, context, train, seconds, peakGiB, failed }) => [
        parameters >= 1e6 ? `${number(parameters / 1e6)} M` : `${number(parameters / 1e3)} k`,
        `${layers} x ${width}, ${vocabulary.toLocaleString("en")}`,
        `${rows} x ${context}`,
        train === "all" ? "all" : "LoRA",
        ...(seconds === undefined
          ? [failed!.split(":")[0]!, "", "", "", ""]
          : [...[seconds.sampling, seconds.backward, seconds.update, seconds.step].map(number), `${peakGiB!.toFixed(1)} GiB`]),
      ]),
    ),
    "",
    `${ran(file, "results/ceiling.json")} ${file.threads} threads.`,
  ].join("\n");
}

function roundTrip(): string {
  const file = read<RoundTrip>("round-trip.json");
  if (!file) return missing("node --conditions=guerdon-source bench/round-trip.ts");
  const { interval, step, seconds, pairs, threads } = file;
  const ms = (x: number | undefined) => `${(1000 * x!).toFixed(0)} ms`;
  return [
    `A GRPO step of the main job's sizes (${step.tasks} tasks x ${step.groupSize} answers, ${Math.round(step.meanTokens).toLocaleString("en")} tokens, LoRA of rank 8) takes ${ms(seconds.median["local"])} with the local engine and`,
    `${ms(seconds.median["service"])} through \`guerdon serve --engine\` in another process (medians of ${pairs} steps each, taken in turns, ${threads === 1 ? "one thread" : `${threads} threads`} of computation):`,
    `the ratio of the means is ${interval.estimate.toFixed(3)}, with a 95 % interval from ${interval.low.toFixed(3)} to ${interval.high.toFixed(3)}.`,
    ran(file, "results/round-trip.json"),
  ].join("\n");
}

function skyrl(): string {
  const file = read<Skyrl>("../integrations/skyrl/result.json");
  if (!file) return missing("sh integrations/skyrl/run.sh");
  return [
    table(
      ["step", "loss, SkyRL", "loss, local", "gradient norm, SkyRL", "gradient norm, local", "log-probabilities differ by"],
      file.steps.map(({ method, step, skyrl: there, local, logProbs }) => [
        `${method} ${step}`,
        ...[there.loss, local.loss, there.gradientNorm, local.gradientNorm].map((x) => x.toFixed(5)),
        logProbs.samplerToLocal.toExponential(1),
      ]),
    ),
    "",
    file.adapters
      .map(
        ({ method, end }) =>
          `After three steps of ${method} the adapters differ by ${end.largestDifference.toExponential(1)}, having moved by ${end.moved.toFixed(3)}.`,
      )
      .join(" "),
    `SkyRL ${file.versions["skyrl"]}, JAX ${file.versions["jax"]}, Python ${file.versions["python"]}; ${file.written.slice(0, 10)}.`,
  ].join("\n");
}

function tinkerSdk(): string {
  const file = read<Sdk>("../integrations/tinker-sdk/result.json");
  if (!file) return missing("sh integrations/tinker-sdk/run.sh");
  return [
    table(
      [
        "SDK",
        ...file.sdks[0]!.steps.map(({ name }) => `gradient norm, ${name.replace("_", " ")}`),
        "largest difference from the local engine",
      ],
      file.sdks.map(({ versions, steps, differences }) => [
        `tinker ${versions["tinker"]}`,
        ...steps.map(({ gradientNorm, local }) => `${gradientNorm.toFixed(4)} (local ${local.toFixed(4)})`),
        Math.max(...Object.values(differences)).toExponential(1),
      ]),
    ),
    "",
    `${file.written.slice(0, 10)}; differences are in nats of log-probabilities and in shares of gradient norms.`,
  ].join("\n");
}

const blocks: Readonly<Record<string, () => string>> = {
  "main-job": mainJob,
  comparison,
  bench,
  ceiling,
  "round-trip": roundTrip,
  skyrl,
  "tinker-sdk": tinkerSdk,
};

for (const page of ["README.md", "docs/cluster.md"]) fill(page);

function fill(page: string): void {
  const path = join(root, page);
  const before = readFileSync(path, "utf8");
  const after = before.replaceAll(
    /(<!-- (results|example): (\S+) -->\n)[\s\S]*?(<!-- \/\2 -->)/g,
    (_, open: string, kind: string, name: string, close: string) => {
      const body = kind === "example" ? `\`\`\`ts\n${readFileSync(join(root, name), "utf8").trim()}\n\`\`\`` : blocks[name]?.();
      if (body === undefined) throw new Error(`${page} has a block "${name}" that nothing fills`);
      return `${open}${body}\n${close}`;
    },
  );
  if (!process.argv.includes("--check")) writeFileSync(path, after);
  else if (after !== before) {
    console.error(`${page} does not show what examples/ and results/ hold: run node scripts/readme.ts`);
    process.exitCode = 1;
  }
}
