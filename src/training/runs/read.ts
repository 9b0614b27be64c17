import { basename, join } from "node:path";
import { readManifest, type MetricsRow, type RolloutRow, type RunManifest, type RunState } from "../run-folder.ts";
import { bestOf, checkpointInfo, checkpointSteps, readCheckpoint, type Checkpoint, type CheckpointInfo } from "./checkpoint.ts";
import { diskFiles, readJson, type Files } from "./files.ts";
import { isHeld } from "./lock.ts";
import { GuerdonError } from "../../error.ts";
import type { Json } from "../../statistics/snapshot.ts";

/** A run as its files say it is; reading changes nothing and needs no lock, so a run can be looked at while it trains. */
export interface RunSummary {
  readonly name: string;
  readonly directory: string;
  readonly manifest: RunManifest;
  /** "killed": it says that it is running, but its process is gone. */
  readonly state: RunState | "killed";
  readonly message: string | null;
  /** Steps taken, from the last line of metrics. */
  readonly step: number;
  readonly checkpoints: readonly CheckpointInfo[];
  readonly best: CheckpointInfo | null;
  /** The newest value of each metric of steps, and of each of evaluations. */
  readonly last: Readonly<Record<string, number | null>>;
  readonly evaluation: Readonly<Record<string, number | null>>;
  readonly results: Json;
}

/** The lines of a JSONL file after its header. A last line without its newline is left out: a writer is at it, or was killed. */
function* jsonLines(files: Files, path: string, format: string): Generator<unknown> {
  if (files.size(path) === null) return;
  const lines = new TextDecoder().decode(files.read(path)).split("\n").slice(0, -1);
  for (const [i, line] of lines.entries()) {
    let value: { format?: unknown };
    try {
      value = JSON.parse(line) as { format?: unknown };
    } catch (cause) {
      throw new GuerdonError("input", `${path}, line ${i + 1}: not JSON`, { cause });
    }
    if (i > 0) yield value;
    else if (value.format !== format) throw new GuerdonError("input", `${path}, line 1: the file is not ${format}`);
  }
}

export const readMetrics = (directory: string, files: Files = diskFiles): MetricsRow[] =>
  [...jsonLines(files, join(directory, "metrics.jsonl"), "guerdon-metrics")] as MetricsRow[];

export const readRollouts = (directory: string, files: Files = diskFiles): RolloutRow[] =>
  [...jsonLines(files, join(directory, "rollouts.jsonl"), "guerdon-rollouts")] as RolloutRow[];

/** One metric of a run over its steps: [step, value] in order; values that could not be measured are left out. */
export function curve(rows: readonly MetricsRow[], name: string, kind: MetricsRow["kind"] = "step"): [number, number][] {
  return rows.flatMap((row): [number, number][] => {
    const value = row.values[name];
    return row.kind === kind && typeof value === "number" ? [[row.step, value]] : [];
  });
}

function jsonOrNull(files: Files, path: string, format: string): Json {
  return files.size(path) === null ? null : (readJson(files, path, format, 1) as Json);
}

/** Reads a run. Throws "input" when the folder is not one. */
export function readRun(directory: string, files: Files = diskFiles): RunSummary {
  const manifest = readManifest(directory, files);
  const status = jsonOrNull(files, join(directory, "status.json"), "guerdon-status") as {
    state?: RunState;
    step?: number;
    message?: string;
  } | null;
  const rows = readMetrics(directory, files);
  const state = status?.state ?? "running";
  const checkpoints = checkpointSteps(files, directory).map((step) => checkpointInfo(files, directory, step));
  const newest = (kind: MetricsRow["kind"]) =>
    Object.assign({}, ...rows.filter((row) => row.kind === kind).map((row) => row.values)) as RunSummary["last"];
  return {
    name: basename(directory),
    directory,
    manifest,
    state: state === "running" && !isHeld(files, directory) ? "killed" : state,
    message: status?.message ?? null,
    step: rows.reduce((step, row) => Math.max(step, row.step), status?.step ?? 0),
    checkpoints,
    best: bestOf(checkpoints),
    last: newest("step"),
    evaluation: newest("evaluation"),
    results: jsonOrNull(files, join(directory, "results.json"), "guerdon-results"),
  };
}

/**
 * A checkpoint to read weights from: `await engine.restore(checkpointOf(directory, "best")!.snapshots["engine"]!)`. To go on with a run,
 * open it (`openRun`).
 *
 * @param which the newest one, the one with the best evaluation, or a step
 * @returns null when there is no checkpoint yet
 * @throws GuerdonError "usage" when there is no such checkpoint, "io" when it is damaged
 */
export function checkpointOf(directory: string, which: "latest" | "best" | number, files: Files = diskFiles): Checkpoint | null {
  const steps = checkpointSteps(files, directory);
  if (steps.length === 0) return null;
  const best = bestOf(steps.map((step) => checkpointInfo(files, directory, step)))?.step;
  const wanted = which === "latest" ? steps.at(-1)! : which === "best" ? best : which;
  if (wanted === undefined || !steps.includes(wanted))
    throw new GuerdonError(
      "usage",
      `${directory} has no checkpoint ${which}; it has ${steps.join(", ")}${best === undefined ? ", and none of them was measured" : ""}`,
    );
  const found = readCheckpoint(files, directory, wanted);
  if ("damaged" in found) throw new GuerdonError("io", found.damaged);
  return found;
}

/** The folders that are runs, in and below `folder` (a job's folder holds a run for each of its parts), in the order of their names. */
export function runFolders(folder: string, files: Files = diskFiles, depth = 3): string[] {
  const names = files.isFolder(folder) ? files.list(folder) : [];
  if (names.includes("run.json")) return [folder];
  return depth === 0 ? [] : names.flatMap((name) => runFolders(join(folder, name), files, depth - 1));
}
