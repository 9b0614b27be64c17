import { GuerdonError } from "../error.ts";
import type { Json, Snapshot } from "../statistics/snapshot.ts";

const version = 1;

/** What an engine counts. */
export interface Counters {
  readonly weightsVersion: number;
  readonly optimizerStep: number;
}

/** A snapshot of an engine: its kind and policy family, so that it is not restored into another, and its counters. */
export const engineSnapshot = (engine: string, family: string, counters: Counters, tensors: Snapshot["tensors"]): Snapshot => ({
  version,
  json: { engine, family, weightsVersion: counters.weightsVersion, optimizerStep: counters.optimizerStep },
  tensors,
});

/** @throws GuerdonError "input" when the snapshot is of another kind of engine or policy, or of another version */
export function countersOf(snapshot: Snapshot, engine: string, family: string): Counters {
  const json: Readonly<Record<string, Json>> =
    typeof snapshot.json === "object" && snapshot.json !== null && !Array.isArray(snapshot.json)
      ? (snapshot.json as Readonly<Record<string, Json>>)
      : {};
  const { weightsVersion, optimizerStep } = json;
  if (snapshot.version !== version || json["engine"] !== engine || json["family"] !== family)
    throw new GuerdonError(
      "input",
      `This snapshot (version ${snapshot.version}, ${JSON.stringify(snapshot.json)}) does not fit: version ${version} of a "${engine}" engine with a "${family}" policy is needed.`,
    );
  if (typeof weightsVersion !== "number" || typeof optimizerStep !== "number")
    throw new GuerdonError("input", `This snapshot lacks its counters: ${JSON.stringify(snapshot.json)}.`);
  return { weightsVersion, optimizerStep };
}
