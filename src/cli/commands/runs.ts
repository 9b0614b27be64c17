import { normalize } from "node:path";
import { GuerdonError } from "../../error.ts";
import type { Json } from "../../statistics/snapshot.ts";
import type { Measured } from "../../training/job.ts";
import type { MetricsRow } from "../../training/run-folder.ts";
import { curve, readMetrics, readRollouts, readRun, runFolders, type RunSummary } from "../../training/runs/read.ts";
import { mustExist, runFolder } from "../folders.ts";
import { command } from "../command.ts";
import { plot } from "../plot.ts";
import { printable, short, type Screen } from "../screen.ts";
import { flatten } from "../settings.ts";
import { didYouMean } from "../suggest.ts";
import { table } from "../table.ts";

/** A run with the name that tells it from its neighbours: "countdown-0/grpo". */
export interface NamedRun extends RunSummary {
  readonly title: string;
}

const named = (directory: string): NamedRun => ({
  ...readRun(directory),
  title: normalize(directory)
    .replace(/^runs[/\\]/, "")
    .replaceAll("\\", "/"),
});

/** The runs that a folder stands for: itself, or the parts of a job. */
export function runsIn(given: string): NamedRun[] {
  const path = runFolder(given);
  const found = runFolders(path);
  if (found.length === 0) throw new GuerdonError("input", `${path} holds no run. See \`${command} runs list\``);
  return found.map(named);
}

/** The held-out numbers of a run: those of its end, where it has been measured, else the last ones on its way. */
function heldOut(run: RunSummary): Readonly<Record<string, number | null>> {
  const measured = (run.results as { readonly part?: { readonly measured?: Measured } } | null)?.part?.measured;
  if (measured === undefined) return run.evaluation;
  const { pass1, greedy, passN, majorityN, samples, distinct } = measured;
  return { ...run.evaluation, pass1, greedy, [`pass${samples}`]: passN, [`majority${samples}`]: majorityN, distinct };
}

/** What --json shows of a run. */
const summaryJson = (run: NamedRun) => ({
  name: run.title,
  directory: run.directory,
  state: run.state,
  message: run.message,
  step: run.step,
  started: run.manifest.started,
  seed: run.manifest.seed,
  last: run.last,
  heldOut: heldOut(run),
  checkpoints: run.checkpoints,
  best: run.best,
});

function listTable(runs: readonly NamedRun[]): string {
  const rows = runs.map((run) => {
    const { pass1, greedy } = heldOut(run);
    return [
      run.title,
      run.state,
      run.step,
      short(run.last["reward/mean"] ?? run.last["reward"]),
      short(pass1),
      short(greedy),
      run.manifest.started.slice(0, 16).replace("T", " "),
    ];
  });
  return table(["run", "state", "step", "reward", "pass@1", "greedy", "started"], rows);
}

/** `guerdon runs list` */
export async function list(screen: Screen, folder: string): Promise<void> {
  // Before the first run there is no folder of runs, which is no mistake.
  if (folder !== "runs") mustExist(folder);
  // One run that cannot be read, say of a later version, must not hide the others.
  const runs = runFolders(folder).flatMap((path) => {
    try {
      return [named(path)];
    } catch (cause) {
      if (!(cause instanceof GuerdonError)) throw cause;
      screen.say(`left out: ${cause.message}`);
      return [];
    }
  });
  if (runs.length === 0) screen.say(`No runs in ${folder}. Start one: ${command} train countdown`);
  if (runs.length > 0 || screen.json) screen.result(runs.length > 0 ? listTable(runs) : "", { runs: runs.map(summaryJson) });
}

/** The metric that was asked for, or the usual one. The error about a name that no run has lists those that they have. */
function metricOf(asked: string | undefined, runs: readonly (readonly MetricsRow[])[]): string {
  const names = [...new Set(runs.flatMap((rows) => rows.filter((row) => row.kind === "step").flatMap((row) => Object.keys(row.values))))];
  if (asked === undefined) return ["reward/mean", "reward", "loss"].find((name) => names.includes(name)) ?? "loss";
  if (names.length > 0 && !names.includes(asked))
    throw new GuerdonError("usage", `no run has the metric ${asked}.${didYouMean(asked, names)} There are: ${names.join(", ")}`);
  return asked;
}

const aligned = (pairs: readonly (readonly [string, string])[]): string => {
  const width = Math.max(0, ...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join("\n");
};

/** `guerdon runs show`: a run, or the parts of a job and the newest of them. */
export async function show(screen: Screen, given: string, options: { readonly metric?: string }): Promise<void> {
  const runs = runsIn(given);
  const run = runs.toSorted((a, b) => a.manifest.started.localeCompare(b.manifest.started)).at(-1)!;
  const rows = readMetrics(run.directory);
  const metric = metricOf(options.metric, [rows]);
  const points = curve(rows, metric);
  const notes = rows.filter((row) => row.kind === "note").map((row) => `step ${row.step}: ${row.text ?? ""}`);
  const evaluations = rows.filter((row) => row.kind === "evaluation");
  const measured = heldOut(run);
  const bold = (text: string) => screen.resultStyle("bold", text);
  const { manifest } = run;
  const parts = [
    ...(runs.length > 1 ? [listTable(runs)] : []),
    `${bold(run.title)}  ${run.state}, step ${run.step}${run.message === null ? "" : `: ${run.message}`}`,
    bold("settings") + "\n" + aligned(flatten(manifest.configuration)),
    bold("machine") +
      "\n" +
      aligned([
        ["device", `${manifest.device}, ${manifest.threads} ${manifest.threads === 1 ? "thread" : "threads"}`],
        ...flatten(manifest.machine as unknown as Json),
      ]),
  ];
  if (points.length > 0)
    parts.push(bold(metric) + "\n" + plot([{ name: metric, points }], { width: Math.min(72, screen.width - 12), height: 8 }).join("\n"));
  if (evaluations.length > 0) {
    const names = [...new Set(evaluations.flatMap((row) => Object.keys(row.values)))];
    parts.push(
      bold("evaluations") +
        "\n" +
        table(
          ["step", "phase", ...names],
          evaluations.map((row) => [row.step, row.phase, ...names.map((name) => short(row.values[name]))]),
        ),
    );
  }
  if (Object.keys(measured).length > 0)
    parts.push(bold("held out") + "\n" + aligned(Object.entries(measured).map(([name, value]) => [name, short(value)])));
  if (notes.length > 0) parts.push(bold("notes") + "\n" + notes.map((note) => `  ${note}`).join("\n"));
  const last = readRollouts(run.directory).slice(-3);
  if (last.length > 0)
    parts.push(
      bold("last answers") +
        "\n" +
        last.map((r) => `  step ${r.step}  reward ${short(r.reward)}  ${printable(`${r.prompt} ${r.completion}`)}`).join("\n"),
    );
  parts.push(
    bold("checkpoints") +
      "  " +
      (run.checkpoints.map(({ step }) => `${step}${step === run.best?.step ? " (best)" : ""}`).join(", ") || "none"),
  );
  screen.result(parts.join("\n\n"), {
    ...summaryJson(run),
    ...(runs.length > 1 ? { parts: runs.map(summaryJson) } : {}),
    configuration: manifest.configuration,
    machine: manifest.machine,
    metric: { name: metric, points },
    evaluations,
    notes,
    results: run.results,
  });
}

/** `guerdon runs compare` */
export async function compare(screen: Screen, given: readonly string[], options: { readonly metric?: string }): Promise<void> {
  const runs = given.flatMap(runsIn);
  const rows = runs.map((run) => readMetrics(run.directory));
  const metric = metricOf(options.metric, rows);
  const series = runs.map(({ title }, i) => ({ name: title, points: curve(rows[i]!, metric) }));
  const settings = runs.map((run) => new Map(flatten(run.manifest.configuration)));
  const differing = [...new Set(settings.flatMap((map) => [...map.keys()]))].filter(
    (key) => new Set(settings.map((map) => map.get(key))).size > 1,
  );
  const measured = runs.map(heldOut);
  const names = [...new Set(measured.flatMap((one) => Object.keys(one)))];
  const drawn = plot(series, { width: Math.min(72, screen.width - 12), height: 12 });
  const text = [
    ...(drawn.length > 0 ? [`${screen.resultStyle("bold", metric)}\n${drawn.join("\n")}`] : []),
    table(
      ["run", "state", "step", metric, ...names],
      runs.map((run, i) => [run.title, run.state, run.step, short(run.last[metric]), ...names.map((name) => short(measured[i]![name]))]),
    ),
    ...(differing.length > 0
      ? [
          table(
            ["setting", ...runs.map(({ title }) => title)],
            differing.map((key) => [key, ...settings.map((map) => map.get(key) ?? "-")]),
          ),
        ]
      : []),
  ].join("\n\n");
  screen.result(text, {
    metric,
    runs: runs.map((run, i) => ({ ...summaryJson(run), points: series[i]!.points })),
    differing: Object.fromEntries(differing.map((key) => [key, settings.map((map) => map.get(key) ?? null)])),
  });
}
