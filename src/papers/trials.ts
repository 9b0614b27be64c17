import { join } from "node:path";
import { diskFiles, encode, replace } from "../training/runs/files.ts";
import type { Measured } from "./claim.ts";

/** One arm with one seed, finished. */
export interface Trial {
  readonly arm: string;
  readonly seed: number;
  /** How long it took on one core. */
  readonly seconds: number;
  readonly measured: Measured;
}

/** The finished trials of a claim whose run is not complete yet, on disk: a line each, so that neither Ctrl-C nor a kill loses one. */
export interface TrialFile {
  find(arm: string, seed: number): Trial | undefined;
  keep(trial: Trial): void;
  /** To be called when the run is complete. */
  remove(): void;
}

/**
 * Opens the file `<slug>.<inputs>.jsonl` in a folder, which is made when there is something to keep. Files of other inputs of this claim
 * are removed: their numbers are those of other code.
 */
export function trialFile(folder: string, slug: string, inputs: string): TrialFile {
  const name = `${slug}.${inputs}.jsonl`;
  const path = join(folder, name);
  for (const other of diskFiles.list(folder)) if (other !== name && other.startsWith(`${slug}.`)) diskFiles.remove(join(folder, other));
  const key = (arm: string, seed: number): string => JSON.stringify([arm, seed]);
  const known = new Map<string, Trial>();
  const text = diskFiles.size(path) === null ? "" : new TextDecoder().decode(diskFiles.read(path));
  const end = text.lastIndexOf("\n") + 1;
  for (const line of text.slice(0, end).split("\n"))
    if (line !== "") {
      const trial = JSON.parse(line) as Trial;
      known.set(key(trial.arm, trial.seed), trial);
    }
  // A kill in the middle of a line leaves a piece of it.
  if (end < text.length) replace(diskFiles, path, encode(text.slice(0, end)));
  return {
    find: (arm, seed) => known.get(key(arm, seed)),
    keep(trial) {
      known.set(key(trial.arm, trial.seed), trial);
      diskFiles.makeFolder(folder);
      diskFiles.append(path, encode(JSON.stringify(trial) + "\n"));
    },
    remove: () => diskFiles.remove(path),
  };
}
