import { join } from "node:path";
import { diskFiles, encode, replace } from "../training/runs/files.ts";
import { lock } from "../training/runs/lock.ts";
import type { Measured } from "./claim.ts";

/** One arm with one seed, finished. */
export interface Trial {
  readonly arm: string;
  readonly seed: number;
  /** Processor time, which a crowded machine does not stretch. */
  readonly seconds: number;
  readonly measured: Measured;
}

/** The finished trials of a claim whose run is not complete yet, on disk: a line each, so that neither Ctrl-C nor a kill loses one. */
export interface TrialFile {
  find(arm: string, seed: number): Trial | undefined;
  keep(trial: Trial): void;
  /** Removes the trials of these seeds, once their run is complete. Those of other seeds may be an interrupted run's. */
  remove(seeds: readonly number[]): void;
  /** Gives the claim back to other processes. A second call does nothing. */
  close(): void;
}

/** The same for the same arm and seed. */
export const trialKey = (arm: string, seed: number): string => JSON.stringify([arm, seed]);

/**
 * Opens the file `<inputs>.jsonl` in a claim's own folder, for this process alone until `close`. Files of other inputs are removed: their
 * numbers are those of other code.
 *
 * @throws GuerdonError "io" when another process is at the claim
 */
export function trialFile(folder: string, inputs: string): TrialFile {
  const name = `${inputs}.jsonl`;
  const path = join(folder, name);
  diskFiles.makeFolder(folder);
  let unlock: (() => void) | null = lock(diskFiles, folder);
  for (const other of diskFiles.list(folder)) if (other !== name && other.endsWith(".jsonl")) diskFiles.remove(join(folder, other));
  const known = new Map<string, Trial>();
  const text = diskFiles.size(path) === null ? "" : new TextDecoder().decode(diskFiles.read(path));
  for (const line of text.split("\n")) {
    const trial = parsed(line);
    if (trial !== null) known.set(trialKey(trial.arm, trial.seed), trial);
  }
  // What comes next must not be added to the piece of a line that a kill left.
  if (text !== "" && !text.endsWith("\n")) diskFiles.append(path, encode("\n"));
  return {
    find: (arm, seed) => known.get(trialKey(arm, seed)),
    keep(trial) {
      known.set(trialKey(trial.arm, trial.seed), trial);
      diskFiles.append(path, encode(JSON.stringify(trial) + "\n"));
    },
    remove(seeds) {
      const done = new Set(seeds);
      for (const [key, { seed }] of known) if (done.has(seed)) known.delete(key);
      if (known.size === 0) diskFiles.remove(path);
      else replace(diskFiles, path, encode([...known.values()].map((trial) => JSON.stringify(trial) + "\n").join("")));
    },
    close() {
      unlock?.();
      unlock = null;
    },
  };
}

/** A line of the file; null for one that is not whole: its trial is run again. */
function parsed(line: string): Trial | null {
  try {
    return line === "" ? null : (JSON.parse(line) as Trial);
  } catch {
    return null;
  }
}
