import { join } from "node:path";
import { diskFiles, encode, readJson, replace } from "../training/runs/files.ts";
import type { Claim, Results } from "./claim.ts";
import type { CheckResult, RefutedResult } from "./verdict.ts";

/** results/<slug>.json: what a claim came to on the seeds that count. Written by a command, never by hand. */
export interface ClaimRecord {
  readonly format: "guerdon-claim";
  readonly version: 1;
  readonly slug: string;
  readonly title: string;
  readonly label: Claim["label"];
  readonly statement: string;
  readonly holds: boolean;
  readonly checks: readonly CheckResult[];
  readonly refuted: readonly RefutedResult[];
  readonly method: string;
  readonly baseline: string | null;
  readonly mustFail: readonly string[];
  readonly seeds: readonly number[];
  /** Every number: arm, metric, one value a seed. */
  readonly arms: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  /** Processor seconds of all trials together, and the seconds that the claim allows on two cores. */
  readonly seconds: number;
  readonly allowedSeconds: number;
  readonly written: string;
  readonly versions: { readonly guerdon: string; readonly node: string };
  readonly machine: { readonly platform: string; readonly cpu: string; readonly cores: number };
  /** A digest of all source files that the paper is made of and of the versions of the packages that they import. */
  readonly inputs: string;
}

const path = (folder: string, slug: string): string => join(folder, `${slug}.json`);

/** The record of a claim in a folder; null where there is none. @throws GuerdonError "input" for a file that is no such record */
export function readRecord(folder: string, slug: string): ClaimRecord | null {
  const file = path(folder, slug);
  return diskFiles.size(file) === null ? null : (readJson(diskFiles, file, "guerdon-claim", 1) as unknown as ClaimRecord);
}

/** Writes a record as a whole; returns its path. Lists stand on one line each. */
export function writeRecord(folder: string, record: ClaimRecord): string {
  const file = path(folder, record.slug);
  // No text in the record holds a line break, so that what begins with one is a list.
  const text = JSON.stringify(record, null, 2).replaceAll(/\[\n[^[\]{}]*\]/g, (list) =>
    list.replaceAll(/\n\s*/g, " ").replace("[ ", "[").replace(" ]", "]"),
  );
  diskFiles.makeFolder(folder);
  replace(diskFiles, file, encode(text + "\n"));
  return file;
}

/** Rows of numbers as columns. */
export function toColumns({ arms }: Results): ClaimRecord["arms"] {
  return Object.fromEntries(
    Object.entries(arms).map(([arm, rows]) => [
      arm,
      Object.fromEntries(Object.keys(rows[0] ?? {}).map((metric) => [metric, rows.map((row) => row[metric]!)])),
    ]),
  );
}
