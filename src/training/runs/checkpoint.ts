import { join } from "node:path";
import { crc32 } from "node:zlib";
import { formatSafetensors, parseSafetensors } from "../../arrays/index.ts";
import { GuerdonError } from "../../error.ts";
import type { HostTensor, Json, Snapshot } from "../../statistics/snapshot.ts";
import { readJson, replace, toJson, type Files } from "./files.ts";

const format = "guerdon-checkpoint";
const version = 1;

/** What a checkpoint says about itself. */
export interface CheckpointInfo {
  /** Steps taken when it was written. */
  readonly step: number;
  /** How good the weights are, higher is better; null where nothing was measured at this step. */
  readonly score: number | null;
}

export interface Checkpoint extends CheckpointInfo {
  /** What `StepReport.save()` returned, by name. */
  readonly snapshots: Readonly<Record<string, Snapshot>>;
  /** Length in bytes of each growing file of the run at that moment. */
  readonly lengths: Readonly<Record<string, number>>;
}

interface Part {
  readonly version: number;
  readonly json: Json;
  /** The tensor file's size and CRC-32; null for a part without tensors. */
  readonly tensors: { readonly file: string; readonly bytes: number; readonly crc32: number } | null;
}

interface Description extends CheckpointInfo {
  readonly lengths: Readonly<Record<string, number>>;
  readonly parts: Readonly<Record<string, Part>>;
}

const folderOf = (directory: string): string => join(directory, "checkpoints");

/** Names sort by step. */
export const checkpointFolder = (directory: string, step: number): string => join(folderOf(directory), String(step).padStart(8, "0"));

/** The steps of the complete checkpoints in a run's folder, ascending. */
export const checkpointSteps = (files: Files, directory: string): number[] =>
  files
    .list(folderOf(directory))
    .filter((name) => /^\d{8,}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);

/** JSON has no NaN and no infinity: they would come back as null. Names the place of the first one. */
function checkJson(value: Json, where: string): void {
  if (typeof value === "number" && !Number.isFinite(value))
    throw new GuerdonError("internal", `${where} is ${value}, which a checkpoint cannot hold: store it as null or as a string`);
  if (typeof value === "object" && value !== null)
    for (const [key, inner] of Object.entries(value)) if (inner !== undefined) checkJson(inner as Json, `${where}.${key}`);
}

/**
 * Writes a checkpoint as one unit: everything goes into a folder beside its place, every file is waited for, then the folder is renamed
 * and the rename is waited for. A kill at any point leaves the earlier checkpoints as they were and at most one `.partial` folder, which
 * the next opening removes.
 */
export function writeCheckpoint(files: Files, directory: string, checkpoint: Checkpoint): void {
  const { step, score, snapshots, lengths } = checkpoint;
  const place = checkpointFolder(directory, step);
  const temporary = `${place}.partial`;
  const parts: Record<string, Part> = {};
  try {
    files.remove(temporary);
    files.makeFolder(temporary);
    for (const [name, snapshot] of Object.entries(snapshots)) {
      if (!/^[\w.-]+$/.test(name))
        throw new GuerdonError("internal", `"${name}" cannot be the name of a part of a checkpoint: use letters, digits, - _ .`);
      checkJson(snapshot.json, `${name}.json`);
      const tensors = snapshot.tensors;
      if (Object.keys(tensors).length === 0) {
        parts[name] = { version: snapshot.version, json: snapshot.json, tensors: null };
        continue;
      }
      const file = `${name}.safetensors`;
      const bytes = formatSafetensors(tensors, { format: "guerdon-tensors", version: "1" });
      files.write(join(temporary, file), bytes);
      parts[name] = { version: snapshot.version, json: snapshot.json, tensors: { file, bytes: bytes.length, crc32: crc32(bytes) } };
    }
    const description: Description & { format: string; version: number } = { format, version, step, score, lengths, parts };
    files.write(join(temporary, "checkpoint.json"), toJson(description));
    files.sync(temporary);
    // A step that is saved again (after an interruption, say) replaces the earlier folder.
    files.remove(place);
    files.rename(temporary, place);
    files.sync(folderOf(directory));
  } catch (cause) {
    try {
      files.remove(temporary);
    } catch {
      // The first failure is the one to report; the next opening removes the folder.
    }
    throw cause;
  }
}

function describe(files: Files, directory: string, step: number): Description {
  return readJson(files, join(checkpointFolder(directory, step), "checkpoint.json"), format, version) as unknown as Description;
}

export function checkpointInfo(files: Files, directory: string, step: number): CheckpointInfo {
  const { score } = describe(files, directory, step);
  return { step, score };
}

/** Reads a checkpoint; a sentence instead when a file of it is missing or its bytes are not those that were written. */
export function readCheckpoint(files: Files, directory: string, step: number): Checkpoint | { readonly damaged: string } {
  const folder = checkpointFolder(directory, step);
  const present = files.list(folder);
  const missing = (file: string) => ({ damaged: `${join(folder, file)} is missing` });
  if (!present.includes("checkpoint.json")) return missing("checkpoint.json");
  const { score, lengths, parts } = describe(files, directory, step);
  const snapshots: Record<string, Snapshot> = {};
  for (const [name, part] of Object.entries(parts)) {
    let tensors: Readonly<Record<string, HostTensor>> = {};
    if (part.tensors !== null) {
      if (!present.includes(part.tensors.file)) return missing(part.tensors.file);
      const path = join(folder, part.tensors.file);
      const bytes = files.read(path);
      if (bytes.length !== part.tensors.bytes || crc32(bytes) !== part.tensors.crc32)
        return { damaged: `${path} is damaged: its ${bytes.length} bytes are not the ${part.tensors.bytes} that were written` };
      tensors = parseSafetensors(bytes).tensors;
    }
    snapshots[name] = { version: part.version, json: part.json, tensors };
  }
  return { step, score, snapshots, lengths };
}

/** Moves a damaged checkpoint out of the way. */
export function setAside(files: Files, directory: string, step: number): void {
  const place = checkpointFolder(directory, step);
  const aside = join(folderOf(directory), `damaged-${step}`);
  files.remove(aside);
  files.rename(place, aside);
}

/** The best of some checkpoints: the highest score, the later one among equals; null where none has a score. */
export function bestOf(infos: readonly CheckpointInfo[]): CheckpointInfo | null {
  let best: CheckpointInfo | null = null;
  for (const info of infos) if (info.score !== null && (best === null || info.score >= best.score!)) best = info;
  return best;
}

/**
 * Writes `latest.json` and `best.json` beside the checkpoints and removes all but the last two and the best. The pointers are for
 * readers from outside: which checkpoints there are is decided by the folders alone, so a kill in here loses nothing.
 */
export function tidyCheckpoints(files: Files, directory: string): void {
  const infos = checkpointSteps(files, directory).map((step) => checkpointInfo(files, directory, step));
  const latest = infos.at(-1);
  if (latest === undefined) return;
  const best = bestOf(infos);
  const point = (name: string, info: CheckpointInfo) =>
    replace(files, join(folderOf(directory), name), toJson({ format: "guerdon-pointer", version: 1, ...info }));
  point("latest.json", latest);
  if (best !== null) point("best.json", best);
  for (const { step } of infos.slice(0, -2)) if (step !== best?.step) files.remove(checkpointFolder(directory, step));
}

/** Removes what an interrupted writer left behind; says what it removed. */
export function cleanCheckpoints(files: Files, directory: string): string[] {
  const left = files.list(folderOf(directory)).filter((name) => name.endsWith(".partial"));
  for (const name of left) files.remove(join(folderOf(directory), name));
  return left.map((name) => `removed the half-written checkpoint ${name}`);
}
