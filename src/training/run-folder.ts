import { join } from "node:path";
import { GuerdonError } from "../error.ts";
import type { Json, Snapshot } from "../statistics/snapshot.ts";
import {
  checkpointSteps,
  cleanCheckpoints,
  readCheckpoint,
  setAside,
  tidyCheckpoints,
  writeCheckpoint,
  type Checkpoint,
} from "./runs/checkpoint.ts";
import { diskFiles, encode, readJson, replace, toJson, type Files } from "./runs/files.ts";
import { lock } from "./runs/lock.ts";
import { describeMachine, type Machine } from "./runs/machine.ts";
import { eventFileHeader, scalarsEvent } from "./runs/tensorboard.ts";

type JsonObject = { readonly [key: string]: Json };

/** What a run is, said by whoever starts it. */
export interface RunDescription {
  /**
   * Everything that decides the numbers, resolved: every setting and every convention with its value. Two runs with equal configurations
   * on one kind of machine give equal numbers.
   */
  readonly configuration: JsonObject;
  /** How to start the same run again, for `guerdon resume`: which recipe or which file, with which options. */
  readonly source: JsonObject;
  readonly seed: number;
  readonly device: string;
  readonly threads: number;
}

/** run.json */
export interface RunManifest extends RunDescription {
  readonly format: "guerdon-run";
  readonly version: 1;
  /** When it was first started, ISO 8601. */
  readonly started: string;
  readonly machine: Machine;
}

/** A line of metrics.jsonl. */
export interface MetricsRow {
  /** Steps taken: 1 after the first step, 0 for what is measured before it. */
  readonly step: number;
  readonly phase: string;
  readonly kind: "step" | "evaluation" | "note";
  /** Metrics by name; null: could not be measured. */
  readonly values: Readonly<Record<string, number | null>>;
  /** Measured times and rates, which differ from run to run; everything else is repeated exactly by a resumed run. The folder adds `time`, seconds since 1970. */
  readonly clock?: Readonly<Record<string, number>>;
  /** A sentence, for notes. */
  readonly text?: string;
}

/** A line of rollouts.jsonl: an answer as a person wants to see it. */
export interface RolloutRow {
  readonly step: number;
  readonly phase: string;
  readonly prompt: string;
  readonly completion: string;
  readonly reward: number | null;
  readonly parts: Readonly<Record<string, number | null>>;
  readonly advantage: number | null;
  readonly stop: string;
  readonly group: string;
}

export type RunState = "running" | "finished" | "interrupted" | "failed";

/** A run that this process writes. Made by `createRun` or `openRun`. Every method throws GuerdonError "io" when the disk refuses. */
export interface RunFolder {
  readonly directory: string;
  readonly manifest: RunManifest;
  /** Where to go on from; null: from the beginning. */
  readonly latest: Checkpoint | null;
  /** What was repaired on opening, a sentence each; empty for a new run or one that ended in order. */
  readonly repairs: readonly string[];
  /** Adds lines to metrics.jsonl and, numbers only, to the TensorBoard event file. */
  metrics(...rows: readonly MetricsRow[]): void;
  rollouts(rows: readonly RolloutRow[]): void;
  /**
   * Writes `checkpoints/<step>`; keeps the last two and the best. Metrics and rollouts that were added before it belong to it: a resumed
   * run cuts off what came later.
   *
   * @param step steps taken
   * @param snapshots what `StepReport.save()` returned
   * @param score how good the weights are, higher is better; null: not measured
   */
  checkpoint(step: number, snapshots: Readonly<Record<string, Snapshot>>, score?: number | null): void;
  /** Writes results.json as a whole. */
  results(results: JsonObject): void;
  /** Records how the run ended and gives the folder back. A second call does nothing. */
  close(state: Exclude<RunState, "running">, message?: string): void;
}

export interface RunFolderOptions {
  /** The file system; a test passes one that fails or kills. */
  readonly files?: Files;
  /** Milliseconds since 1970. */
  readonly clock?: () => number;
}

const manifestVersion = 1;
const metricsFile = "metrics.jsonl";
const rolloutsFile = "rollouts.jsonl";
const eventsFile = join("tensorboard", "events.out.tfevents.0.guerdon");

/** Names of the files that grow, with what stands at their beginning. */
const growing = (clock: () => number): Readonly<Record<string, () => Uint8Array>> => ({
  [metricsFile]: () => toJson({ format: "guerdon-metrics", version: 1 }, false),
  [rolloutsFile]: () => toJson({ format: "guerdon-rollouts", version: 1 }, false),
  [eventsFile]: () => eventFileHeader(clock() / 1000),
});

/** The first place where two configurations differ, as "path: a -> b"; null when they are equal. */
export function firstDifference(a: Json | undefined, b: Json | undefined, path = ""): string | null {
  if (typeof a === "object" && typeof b === "object" && a !== null && b !== null && Array.isArray(a) === Array.isArray(b)) {
    const [left, right] = [a as JsonObject, b as JsonObject];
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
      const inner = firstDifference(left[key], right[key], path === "" ? key : `${path}.${key}`);
      if (inner !== null) return inner;
    }
    return null;
  }
  return Object.is(a, b) || a === b
    ? null
    : `${path || "configuration"}: ${JSON.stringify(a) ?? "absent"} -> ${JSON.stringify(b) ?? "absent"}`;
}

/** What TensorBoard shows of a row: tag -> value. Evaluations have tags of their own, so that curves do not mix. */
export const rowScalars = (row: MetricsRow): Record<string, number | null> =>
  Object.fromEntries(
    Object.entries({ ...row.values, ...row.clock })
      .filter(([name]) => name !== "time")
      .map(([name, value]) => [row.kind === "evaluation" ? `evaluation/${name}` : name, value]),
  );

/** As JSON holds it: without undefined fields, in plain objects. */
const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/**
 * Starts a run in a folder or, when the folder holds a run of the same configuration, goes on with it.
 *
 * @throws GuerdonError "input" when the folder holds something else or a run of another configuration, "io" when another process works
 * on it or the folder cannot be written
 */
export function createRun(directory: string, description: RunDescription, options: RunFolderOptions = {}): RunFolder {
  const { files = diskFiles, clock = Date.now } = options;
  const wanted = plain(description);
  const path = join(directory, "run.json");
  if (files.size(path) === null) {
    const strangers = files.list(directory).filter((name) => !name.startsWith("lock.json") && name !== "run.json.partial");
    if (strangers.length > 0)
      throw new GuerdonError(
        "input",
        `${directory} is not empty and holds no run (it has ${strangers[0]}): choose another folder with --directory`,
      );
    files.makeFolder(directory);
    const unlock = lock(files, directory);
    try {
      const manifest: RunManifest = {
        format: "guerdon-run",
        version: manifestVersion,
        started: new Date(clock()).toISOString(),
        ...wanted,
        machine: describeMachine(),
      };
      replace(files, path, toJson(manifest));
    } finally {
      unlock();
    }
  }
  const difference = firstDifference(readManifest(directory, files).configuration, wanted.configuration);
  if (difference !== null)
    throw new GuerdonError(
      "input",
      `${directory} holds a run with other settings (${difference}): go on with it as it was started (\`guerdon resume ${directory}\`, its configuration file as it was then), or choose another folder with --directory`,
    );
  return openRun(directory, options);
}

/** Reads run.json. Throws "input" when the folder is not a run. */
export function readManifest(directory: string, files: Files = diskFiles): RunManifest {
  const path = join(directory, "run.json");
  if (files.size(path) === null)
    throw new GuerdonError("input", `${directory} is not a run: it has no run.json. See \`guerdon runs list\``);
  return readJson(files, path, "guerdon-run", manifestVersion) as unknown as RunManifest;
}

/** Opens an existing run for going on: takes the lock, repairs what a kill left behind, cuts every file back to the last checkpoint. */
export function openRun(directory: string, options: RunFolderOptions = {}): RunFolder {
  const { files = diskFiles, clock = Date.now } = options;
  const manifest = readManifest(directory, files);
  const unlock = lock(files, directory);
  try {
    const repairs = cleanCheckpoints(files, directory);
    const latest = newestIntact(files, directory, repairs);
    tidyCheckpoints(files, directory);
    files.makeFolder(join(directory, "checkpoints"));
    files.makeFolder(join(directory, "tensorboard"));
    for (const [name, header] of Object.entries(growing(clock)))
      cutBack(files, join(directory, name), latest?.lengths[name], header, name, repairs);
    return opened(directory, manifest, latest, repairs, files, clock, unlock);
  } catch (cause) {
    unlock();
    throw cause;
  }
}

/** The newest checkpoint whose bytes are as written. Damaged ones are moved aside only when there is an earlier one to go on from. */
function newestIntact(files: Files, directory: string, repairs: string[]): Checkpoint | null {
  const steps = checkpointSteps(files, directory).reverse();
  const damaged: { step: number; why: string }[] = [];
  for (const step of steps) {
    const checkpoint = readCheckpoint(files, directory, step);
    if ("damaged" in checkpoint) {
      damaged.push({ step, why: checkpoint.damaged });
      continue;
    }
    for (const { step: bad, why } of damaged) {
      setAside(files, directory, bad);
      repairs.push(`${why}: set checkpoint ${bad} aside and went on from checkpoint ${step}`);
    }
    return checkpoint;
  }
  if (damaged.length > 0)
    throw new GuerdonError("io", `no checkpoint of ${directory} can be read: ${damaged.map(({ why }) => why).join("; ")}. Start a new run`);
  return null;
}

/** Brings a growing file to the length it had at the checkpoint, or to its header when there is none. */
function cutBack(files: Files, path: string, length: number | undefined, header: () => Uint8Array, name: string, repairs: string[]): void {
  const size = files.size(path);
  if (length === undefined) {
    files.write(path, header());
    if (size !== null) repairs.push(`started ${name} again: there was no checkpoint yet`);
  } else if (size === null || size < length) {
    throw new GuerdonError(
      "input",
      `${path} is shorter than at the last checkpoint (${size ?? 0} bytes, then ${length}): it was changed by hand; restore it or start a new run`,
    );
  } else if (size > length) {
    files.truncate(path, length);
    repairs.push(`cut ${size - length} bytes of ${name} that came after the last checkpoint`);
  }
}

function opened(
  directory: string,
  manifest: RunManifest,
  latest: Checkpoint | null,
  repairs: readonly string[],
  files: Files,
  clock: () => number,
  unlock: () => void,
): RunFolder {
  let step = latest?.step ?? 0;
  let open = true;
  const lines = (values: readonly object[]) => encode(values.map((value) => JSON.stringify(value) + "\n").join(""));
  const status = (state: RunState, message?: string) =>
    replace(
      files,
      join(directory, "status.json"),
      toJson({
        format: "guerdon-status",
        version: 1,
        state,
        step,
        time: new Date(clock()).toISOString(),
        ...(message === undefined ? {} : { message }),
      }),
    );
  const tidy = (values: Readonly<Record<string, number | null>>) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value !== null && Number.isFinite(value) ? value : null]));
  status("running");
  return {
    directory,
    manifest,
    latest,
    repairs,
    metrics(...rows) {
      if (rows.length === 0) return;
      const time = clock() / 1000;
      files.append(
        join(directory, metricsFile),
        lines(rows.map((row) => ({ ...row, values: tidy(row.values), clock: { ...row.clock, time } }))),
      );
      for (const row of rows) {
        step = Math.max(step, row.step);
        const scalars = rowScalars(row);
        if (Object.keys(scalars).length > 0) files.append(join(directory, eventsFile), scalarsEvent(time, row.step, scalars));
      }
    },
    rollouts(rows) {
      if (rows.length > 0) files.append(join(directory, rolloutsFile), lines(rows));
    },
    checkpoint(at, snapshots, score = null) {
      step = at;
      const lengths: Record<string, number> = {};
      for (const name of [metricsFile, rolloutsFile, eventsFile]) {
        files.sync(join(directory, name));
        lengths[name] = files.size(join(directory, name)) ?? 0;
      }
      writeCheckpoint(files, directory, { step: at, score, snapshots, lengths });
      tidyCheckpoints(files, directory);
      status("running");
    },
    results: (results) => replace(files, join(directory, "results.json"), toJson({ format: "guerdon-results", version: 1, ...results })),
    close(state, message) {
      if (!open) return;
      open = false;
      try {
        status(state, message);
      } catch (cause) {
        // A failed run may be one whose disk is full: its own error is the one to report.
        if (state !== "failed") throw cause;
      } finally {
        unlock();
      }
    },
  };
}
