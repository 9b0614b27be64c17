import { existsSync } from "node:fs";
import { GuerdonError } from "../../error.ts";
import type { Json } from "../../statistics/snapshot.ts";
import { exportFormats, exportRuns, type ExportFormat } from "../../training/runs/export.ts";
import { curve, readMetrics, readRollouts, readRun, runFolders, type RunSummary } from "../../training/runs/read.ts";
import type { MetricsRow } from "../../training/run-folder.ts";
import { runFolder } from "../folders.ts";
import { plot } from "../plot.ts";
import { short, type Screen } from "../screen.ts";
import { didYouMean } from "../suggest.ts";
import { table } from "../table.ts";

/** What --json shows of a run. */
const summaryJson = (run: RunSummary) => ({
  name: run.name,
  directory: run.directory,
  state: run.state,
  message: run.message,
  step: run.step,
  started: run.manifest.started,
  seed: run.manifest.seed,
  last: run.last,
  evaluation: run.evaluation,
  checkpoints: run.checkpoints,
  best: run.best,
});

/** `guerdon runs list` */
export async function list(screen: Screen, folder: string): Promise<void> {
  const runs = runFolders(folder).map((path) => readRun(path));
  if (runs.length === 0) screen.say(`No runs in ${folder}. Start one: guerdon train countdown`);
  if (runs.length === 0 && !screen.json) return;
  const rows = runs.map((run) => [
    run.directory,
    run.state,
    run.step,
    short(run.last["reward/mean"]),
    short(run.evaluation["pass1"]),
    run.manifest.started.slice(0, 16).replace("T", " "),
  ]);
  screen.result(table(["run", "state", "step", "reward", "pass@1", "started"], rows), { runs: runs.map(summaryJson) });
}

/** Metric names of some rows, for the error about a name that is not there. */
function checkMetric(metric: string, runs: readonly { readonly name: string; readonly rows: readonly MetricsRow[] }[]): void {
  const names = [...new Set(runs.flatMap(({ rows }) => rows.flatMap((row) => Object.keys(row.values))))];
  if (names.length > 0 && !names.includes(metric))
    throw new GuerdonError("usage", `no run has the metric ${metric}.${didYouMean(metric, names)} There are: ${names.join(", ")}`);
}

/** `a.b: value` lines of nested settings. */
export function flatten(value: Json, path = ""): [string, string][] {
  if (typeof value !== "object" || value === null) return [[path, String(value)]];
  if (Array.isArray(value)) return [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, path === "" ? key : `${path}.${key}`));
}

const aligned = (pairs: readonly (readonly [string, string])[]): string => {
  const width = Math.max(0, ...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join("\n");
};

/** `guerdon runs show` */
export async function show(screen: Screen, given: string, { metric }: { readonly metric: string }): Promise<void> {
  const run = readRun(runFolder(given));
  const rows = readMetrics(run.directory);
  checkMetric(metric, [{ name: run.name, rows }]);
  const points = curve(rows, metric);
  const notes = rows.filter((row) => row.kind === "note").map((row) => `step ${row.step}: ${row.text ?? ""}`);
  const evaluations = rows.filter((row) => row.kind === "evaluation");
  const bold = (text: string) => screen.resultStyle("bold", text);
  const parts = [
    `${bold(run.name)}  ${run.state}, step ${run.step}${run.message === null ? "" : `: ${run.message}`}`,
    bold("settings") + "\n" + aligned(flatten(run.manifest.configuration)),
    bold("machine") +
      "\n" +
      aligned([["device", `${run.manifest.device}, ${run.manifest.threads} threads`], ...flatten(run.manifest.machine as unknown as Json)]),
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
  if (notes.length > 0) parts.push(bold("notes") + "\n" + notes.map((note) => `  ${note}`).join("\n"));
  const last = readRollouts(run.directory).slice(-3);
  if (last.length > 0)
    parts.push(
      bold("last answers") + "\n" + last.map((r) => `  step ${r.step}  reward ${short(r.reward)}  ${r.prompt} ${r.completion}`).join("\n"),
    );
  parts.push(
    bold("checkpoints") +
      "  " +
      (run.checkpoints.map(({ step }) => `${step}${step === run.best?.step ? " (best)" : ""}`).join(", ") || "none"),
  );
  screen.result(parts.join("\n\n"), {
    ...summaryJson(run),
    configuration: run.manifest.configuration,
    machine: run.manifest.machine,
    metric: { name: metric, points },
    evaluations,
    notes,
    results: run.results,
  });
}

/** `guerdon runs compare` */
export async function compare(screen: Screen, given: readonly string[], { metric }: { readonly metric: string }): Promise<void> {
  const runs = given.map((path) => readRun(runFolder(path)));
  const rows = runs.map((run) => ({ name: run.name, rows: readMetrics(run.directory) }));
  checkMetric(metric, rows);
  const series = rows.map(({ name, rows: own }) => ({ name, points: curve(own, metric) }));
  const settings = runs.map((run) => new Map(flatten(run.manifest.configuration)));
  const differing = [...new Set(settings.flatMap((map) => [...map.keys()]))].filter(
    (key) => new Set(settings.map((map) => map.get(key))).size > 1,
  );
  const measured = [...new Set(runs.flatMap((run) => Object.keys(run.evaluation)))];
  const text = [
    `${screen.resultStyle("bold", metric)}\n${plot(series, { width: Math.min(72, screen.width - 12), height: 12 }).join("\n")}`,
    table(
      ["run", "state", "step", metric, ...measured],
      runs.map((run) => [run.name, run.state, run.step, short(run.last[metric]), ...measured.map((name) => short(run.evaluation[name]))]),
    ),
    ...(differing.length > 0 && runs.length > 1
      ? [
          table(
            ["setting", ...runs.map((run) => run.name)],
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

/** `guerdon runs export` */
export async function exportTo(
  screen: Screen,
  given: readonly string[],
  { to, out }: { readonly to: string; readonly out: string },
): Promise<void> {
  if (!exportFormats.includes(to as ExportFormat))
    throw new GuerdonError("usage", `--to ${to}: it must be one of ${exportFormats.join(", ")}.${didYouMean(to, exportFormats)}`);
  if (to !== "tensorboard" && existsSync(out)) throw new GuerdonError("input", `${out} exists already: choose another name or remove it`);
  const runs = given.map((path) => readRun(runFolder(path)));
  const written = await exportRuns(runs, to as ExportFormat, out);
  screen.result(written.join("\n"), { written });
}
