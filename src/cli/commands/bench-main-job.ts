import { join } from "node:path";
import { GuerdonError } from "../../error.ts";
import { countdownJob } from "../../training/index.ts";
import { chanceOf } from "../../training/job.ts";
import { mainJob, type MainJobEvent, type MainJobFile } from "../../training/main-job.ts";
import { interruptible } from "../interrupt.ts";
import { jobScreen } from "../job-screen.ts";
import { defaultThreads } from "../jobs.ts";
import type { Screen } from "../screen.ts";
import { table } from "../table.ts";
import type { BenchOptions } from "./bench.ts";

const output = join("results", "main-job.json");

/** `guerdon bench main-job`: the main job for several seeds, from fresh folders or where an earlier call stopped; writes results/main-job.json. */
export async function benchMainJob(screen: Screen, { seeds = 3, first = 100, threads, compare = false }: BenchOptions): Promise<number> {
  const job = countdownJob({ seed: first });
  const directory = join("runs", "main-job");
  const chance = chanceOf(job);
  const file = await ended(
    screen,
    interruptible(screen, "Stopping after this step, then saving", async (signal) => {
      const events = mainJob({
        job: countdownJob,
        seeds: Array.from({ length: seeds }, (_, i) => first + i),
        compare,
        directory,
        output,
        signal,
        threads: threads ?? defaultThreads(job),
      });
      let current: number | null = null;
      let show: ((event: MainJobEvent) => void) | null = null;
      for (;;) {
        const next = await events.next();
        if (next.done === true) return next.value;
        if (next.value.seed !== current) {
          current = next.value.seed;
          screen.say();
          screen.say(screen.style("bold", `seed ${current}`));
          show = jobScreen(screen, chance);
        }
        show!(next.value);
      }
    }),
  );
  screen.say(`written: ${output}`);
  screen.result(seedTable(file), file);
  return 0;
}

/** Says how to go on when the work was interrupted. */
async function ended<T>(screen: Screen, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof GuerdonError && cause.code === "interrupted") screen.say("\nStopped and saved. The same line goes on from here.");
    throw cause;
  }
}

const shown = ["pass1", "greedy"] as const;

function seedTable({ seeds, evaluation }: MainJobFile): string {
  const names = [...shown, `pass${evaluation.samples}`, `majority${evaluation.samples}`];
  return table(
    ["seed", ...names.flatMap((name) => [name, "after"]), "seconds"],
    seeds.map(({ seed, before, after, seconds }) => [
      seed,
      ...names.flatMap((name) => [Number(before[name]).toFixed(3), Number(after[name]).toFixed(3)]),
      Math.round(seconds.total),
    ]),
  );
}
