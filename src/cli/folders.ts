import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { GuerdonError } from "../error.ts";
import { nearest } from "./suggest.ts";

const namesIn = (folder: string): string[] => (existsSync(folder) && statSync(folder).isDirectory() ? readdirSync(folder) : []);

/** An error about a path that is not there; it names a neighbour with a similar name, in the path's own folder or in `others`. */
function notThere(path: string, others: readonly string[] = []): GuerdonError {
  for (const folder of [dirname(path), ...others]) {
    const found = nearest(basename(path), namesIn(folder));
    if (found !== null) return new GuerdonError("input", `there is no ${path}. Did you mean ${join(folder, found)}?`);
  }
  return new GuerdonError("input", `there is no ${path}`);
}

/** Checks that a path exists. */
export function mustExist(path: string): void {
  if (!existsSync(path)) throw notThere(path);
}

/** A run or a model given by its folder or, where there is no such folder, by its name under runs/. */
export function runFolder(given: string): string {
  const path = given.replace(/[/\\]+$/, "") || given;
  if (existsSync(path)) return path;
  const named = join("runs", path);
  if (existsSync(named)) return named;
  throw notThere(path, ["runs"]);
}
