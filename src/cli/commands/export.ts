import { existsSync } from "node:fs";
import { join } from "node:path";
import { GuerdonError } from "../../error.ts";
import { writeModel } from "../../policies/index.ts";
import { exportFormats, exportRuns, type ExportFormat } from "../../training/runs/export.ts";
import { loadModel, type CheckpointChoice } from "../policies.ts";
import type { Screen } from "../screen.ts";
import { didYouMean } from "../suggest.ts";
import { runsIn } from "./runs.ts";

export interface ExportCommand {
  readonly to: string;
  readonly out: string;
  /** Of a model. */
  readonly checkpoint: CheckpointChoice;
}

/** `guerdon runs export`: the metrics of runs, or the weights of one. Never over something that is there. */
export async function exportTo(screen: Screen, given: readonly string[], { to, out, checkpoint }: ExportCommand): Promise<void> {
  const formats = [...exportFormats, "model"];
  if (!formats.includes(to))
    throw new GuerdonError("usage", `--to ${to}: it must be one of ${formats.join(", ")}.${didYouMean(to, formats)}`);
  if (to === "model") return exportModel(screen, given, out, checkpoint);
  const runs = given.flatMap(runsIn);
  const targets = to === "tensorboard" ? runs.map(({ title }) => join(out, title)) : [out];
  refuseExisting(targets);
  const written = await exportRuns(
    runs.map(({ title, directory }) => ({ name: title, directory })),
    to as ExportFormat,
    out,
  );
  screen.result(written.join("\n"), { written });
}

/** The policy of one run as a folder with config.json and model.safetensors; an adapter is merged. */
async function exportModel(screen: Screen, given: readonly string[], out: string, checkpoint: CheckpointChoice): Promise<void> {
  if (given.length !== 1) throw new GuerdonError("usage", `--to model writes one run; ${given.length} were named`);
  refuseExisting([out]);
  const { name, engine, job } = await loadModel(given[0]!, checkpoint);
  try {
    const like = job !== null && "folder" in job.model ? { like: job.model.folder } : {};
    await writeModel(out, engine.policy, await engine.weights(), like);
  } finally {
    engine.dispose();
  }
  screen.say(`${name}`);
  screen.result(out, { written: [out], policy: name });
}

function refuseExisting(paths: readonly string[]): void {
  const there = paths.filter((path) => existsSync(path));
  if (there.length > 0) throw new GuerdonError("input", `${there.join(", ")} exists already: choose another name or remove it`);
}
