import { GuerdonError } from "../../error.ts";
import { evaluate } from "../../training/index.ts";
import { chanceOf, summary } from "../../training/job.ts";
import { evaluationTable, samplesTable, share } from "../evaluation.ts";
import { interruptible } from "../interrupt.ts";
import { environmentBy, loadPolicy, type ColumnNames, type LoadOptions } from "../policies.ts";
import { progress } from "../progress.ts";
import type { Screen } from "../screen.ts";

export interface EvalCommand extends LoadOptions {
  readonly tasks?: number;
  readonly samples?: number;
  readonly seed?: number;
  readonly columns?: ColumnNames;
  readonly failUnder?: number;
}

/** `guerdon eval`: exit status 1 when pass@1 is below --fail-under. */
export async function evaluateRun(
  screen: Screen,
  given: string,
  environmentName: string | undefined,
  options: EvalCommand,
): Promise<number> {
  const { name, engine, tokenizer, job } = await loadPolicy(given, options);
  try {
    // On the run's own environment it is measured as the run measures itself: same reward, same chance line.
    const own = environmentName === undefined ? job : null;
    const named = environmentName === undefined ? null : await environmentBy(environmentName, options.columns);
    const environment = named?.environment ?? job?.environment;
    if (environment === undefined)
      throw new GuerdonError(
        "usage",
        `${given} is a model's folder: say on what to measure it, for instance a JSONL or CSV file with prompt and reference`,
      );
    const { tasks = 500, samples = 16, seed } = { ...job?.evaluation, ...options };
    const setting = { tasks, samples, seed: seed ?? 0 };
    const count = Math.min(tasks, environment.tasks?.("test").length ?? tasks);
    const what = named?.tasks ?? "held-out tasks";
    screen.say(`${name} on ${count} ${what} of ${environment.name}, ${samples} answers each and a greedy one`);
    if (named?.recognised !== undefined) screen.say(`  ${named.recognised}`);
    const report = progress(screen, { name: "answers", total: count * (samples + 1), unit: "answers" });
    const evaluation = await interruptible(screen, "Stopping", (signal) =>
      evaluate(engine, environment, {
        ...setting,
        ...(own?.reward && { reward: own.reward }),
        tokenizer,
        signal,
        onProgress: ({ done }) => report(done),
      }),
    );
    const chance = own === null ? null : chanceOf({ ...own, evaluation: setting });
    const measured = summary(evaluation);
    screen.result([evaluationTable(measured, chance, what), "", samplesTable([["pass@k", measured]])].join("\n"), {
      policy: name,
      environment: environment.name,
      chance,
      evaluation,
    });
    const { failUnder } = options;
    if (failUnder === undefined || measured.pass1 >= failUnder) return 0;
    screen.say(`pass@1 ${share(measured.pass1)} is below ${failUnder}`);
    return 1;
  } finally {
    await engine.dispose();
  }
}
