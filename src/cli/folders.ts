import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { GuerdonError } from "../error.ts";
import { didYouMean } from "./suggest.ts";

/** Checks that a path exists; the error names a neighbour with a similar name. */
export function mustExist(path: string): void {
  if (existsSync(path)) return;
  const folder = dirname(path);
  const neighbours = existsSync(folder) && statSync(folder).isDirectory() ? readdirSync(folder) : [];
  const place = (name: string) => join(folder, name);
  throw new GuerdonError(
    "input",
    `there is no ${path}.${didYouMean(basename(path), neighbours).replace(/mean (.*)\?$/, (_, name: string) => `mean ${place(name)}?`)}`,
  );
}

/** A run given by its folder or, where there is no such folder, by its name under runs/. */
export function runFolder(given: string): string {
  const path = given.replace(/[/\\]+$/, "") || given;
  if (!existsSync(path) && existsSync(join("runs", path, "run.json"))) return join("runs", path);
  if (!existsSync(path) && dirname(path) === "." && existsSync("runs")) mustExist(join("runs", path));
  mustExist(path);
  return path;
}
