import { readFileSync } from "node:fs";
import { GuerdonError } from "../../error.ts";
import { didYouMean } from "../suggest.ts";
import type { Screen } from "../screen.ts";

const trainers = ["trl", "verl"];

// Python is not compiled: these files of src/ are in the package as they are.
const read = (name: string): string => readFileSync(new URL(`../../../src/cli/shims/${name}.py`, import.meta.url), "utf8");

/** `guerdon shim trl|verl`: prints a Python file, of the standard library only, that calls `guerdon serve` from that trainer. */
export async function shim(screen: Screen, trainer: string): Promise<void> {
  if (!trainers.includes(trainer))
    throw new GuerdonError(
      "usage",
      `There is no shim for ${trainer}.${didYouMean(trainer, trainers)} There are ${trainers.join(" and ")}; OpenRLHF needs none: --reward.remote_url http://127.0.0.1:8400/get_reward`,
    );
  const python = read(trainer).replace("# guerdon: client\n", () => read("client"));
  screen.result(python.trimEnd(), { trainer, python });
}
