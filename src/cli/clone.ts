import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { GuerdonError } from "../error.ts";

/**
 * Imports a file that only a clone of the repository has (benchmarks, examples), by its path from the repository's root.
 *
 * @throws GuerdonError "unsupported" where guerdon is installed as a package
 */
export async function importFromClone(path: string, what: string): Promise<unknown> {
  const file = new URL(`../../${path}`, import.meta.url);
  if (!existsSync(fileURLToPath(file)))
    throw new GuerdonError(
      "unsupported",
      `${what} is part of the repository, not of the installed package: clone the repository and run it there`,
    );
  return import(file.href);
}
