import { GuerdonError } from "../../error.ts";
import { importFromClone } from "../clone.ts";
import type { Screen } from "../screen.ts";
import { didYouMean } from "../suggest.ts";

/** What is used of bench/run.ts, which lies outside of the package. */
interface Bench {
  bench(options: {
    readonly tiny: boolean;
    readonly tell: (line: string) => void;
  }): Promise<{ readonly measurements: readonly { readonly within: boolean | null }[] }>;
  benchTable(report: unknown): string;
}

export interface BenchOptions {
  readonly tiny?: boolean;
  readonly seeds?: number;
  readonly first?: number;
  readonly threads?: number;
  readonly compare?: boolean;
}

/** `guerdon bench`: exit status 1 when a measurement misses its limit. */
export async function bench(screen: Screen, what: string | undefined, options: BenchOptions): Promise<number> {
  if (what !== undefined && what !== "main-job")
    throw new GuerdonError("usage", `bench knows main-job, not ${what}.${didYouMean(what, ["main-job"])}`);
  const alien = (what === "main-job" ? (["tiny"] as const) : (["seeds", "first", "compare", "threads"] as const)).find(
    (option) => options[option] !== undefined,
  );
  if (alien !== undefined)
    throw new GuerdonError("usage", `--${alien} ${what === "main-job" ? "does not go with main-job" : "goes with bench main-job"}`);
  if (what === "main-job") return (await import("./bench-main-job.ts")).benchMainJob(screen, options);
  const benchmark = (await importFromClone("bench/run.ts", "the benchmark")) as Bench;
  const report = await benchmark.bench({ tiny: options.tiny === true, tell: (line) => screen.say(line) });
  screen.result(benchmark.benchTable(report), report);
  return options.tiny !== true && report.measurements.some(({ within }) => within === false) ? 1 : 0;
}
