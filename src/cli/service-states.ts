import { join } from "node:path";
import { checkpointFolder, checkpointSteps } from "../training/runs/checkpoint.ts";
import { diskFiles } from "../training/runs/files.ts";
import { partsOf } from "./jobs.ts";

/** Addresses on a service that the checkpoints of a job's runs refer to: weights, and references to go back to. */
function referred(directory: string): ReadonlySet<string> {
  const decoder = new TextDecoder();
  const texts = partsOf(directory).flatMap((part) =>
    checkpointSteps(diskFiles, part.directory).map((step) =>
      decoder.decode(diskFiles.read(join(checkpointFolder(part.directory, step), "checkpoint.json"))),
    ),
  );
  return new Set(texts.flatMap((text) => text.match(/tinker:\/\/[^"\\]+/g) ?? []));
}

/**
 * Deletes from a service the states of checkpoints that a job's runs no longer keep. Call it after each step: a state is deleted that a
 * checkpoint referred to at an earlier call and none refers to now, so that nothing else is touched.
 *
 * @param remove deletes one
 */
export function stateTidier(directory: string, remove: (path: string) => Promise<void>): () => Promise<void> {
  let before: ReadonlySet<string> = new Set();
  return async () => {
    const now = referred(directory);
    const left = [...before].filter((path) => !now.has(path));
    before = now;
    for (const path of left) await remove(path);
  };
}
