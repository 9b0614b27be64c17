// Runs on disk, for Node: `guerdon/training/runs`. The rest of training/ also runs in a browser and does not import this room.
export { createRun, openRun, readManifest } from "../run-folder.ts";
export type { MetricsRow, RolloutRow, RunDescription, RunFolder, RunManifest, RunState } from "../run-folder.ts";
export { checkpointOf, curve, readMetrics, readRollouts, readRun, runFolders } from "./read.ts";
export type { RunSummary } from "./read.ts";
export type { Checkpoint, CheckpointInfo } from "./checkpoint.ts";
export { exportRuns } from "./export.ts";
export type { ExportFormat } from "./export.ts";
export { compareJob, jobEngine, runJob } from "../job.ts";
export type { JobEvent, JobResult, Measured, PartResult, RunJobOptions } from "../job.ts";
