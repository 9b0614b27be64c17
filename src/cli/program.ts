import { Command, CommanderError } from "commander";
import { readFileSync } from "node:fs";
import { GuerdonError } from "../error.ts";
import type { BenchOptions } from "./commands/bench.ts";
import type { DoctorModel } from "./commands/doctor-model.ts";
import type { EvalCommand } from "./commands/eval.ts";
import type { ExportCommand } from "./commands/export.ts";
import type { ReproduceCommand } from "./commands/reproduce.ts";
import type { SampleCommand } from "./commands/sample.ts";
import type { ScoreCommand } from "./commands/score.ts";
import type { ServeCommand } from "./commands/serve.ts";
import type { ResumeCommand, TrainCommand } from "./commands/train.ts";
import { command, withCommand } from "./command.ts";
import { explain } from "./failure.ts";
import {
  checkpoint,
  columns,
  failOrZero,
  json,
  listed,
  number,
  refuseForgottenValues,
  seedChoice,
  serviceAddress,
  serviceKey,
  whole,
  workers,
} from "./options.ts";
import { screen, type Screen } from "./screen.ts";

// Nothing heavy is imported here: `guerdon --help` loads commander and this folder's small files. Each action loads what it needs.

const packageVersion = (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;

const examples = (...lines: string[]) => `\nExamples:\n${lines.map((line) => `  $ ${command} ${line}`).join("\n")}`;

interface Common {
  readonly json?: boolean;
}

/** The exit status of a command that ends in order: 0, or 1 for a failed threshold. Nothing means 0. */
type Outcome = number | void;

/** The commands. What a command line asks for is handed to `perform`, which carries it out. */
export function build(perform: (work: () => Promise<Outcome>) => Promise<void>): Command {
  const program = new Command("guerdon")
    .description("Reward learning: say what is good, and train a policy on it.")
    .version(packageVersion, "-V, --version", "show the version")
    .helpOption("-h, --help", "show help")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .showSuggestionAfterError(true)
    .addHelpText("after", examples("train countdown", "runs list", "sample runs/countdown-0 '7 2 9 = 14 :'", "doctor"))
    .addHelpText(
      "after",
      "\nResults go to stdout, talk to stderr. Exit status: 0 fine, 1 a finding or a failed threshold, 2 bad usage or input, 130 interrupted.",
    );

  /** An action that is loaded when it is called, with the screen it talks to. */
  const action =
    <A extends readonly unknown[]>(f: (screen: Screen, ...rest: A) => Promise<Outcome>) =>
    async (...all: unknown[]) => {
      const command = all.at(-1) as Command;
      const options = command.opts<Common>();
      await perform(() => f(screen(options.json === true), ...(all.slice(0, -1) as unknown as A)));
    };

  program
    .command("train")
    .description("train a policy; the same line goes on with a run that was stopped")
    .argument("<job>", "countdown, sorting, or a configuration file (.ts)")
    .option("--seed <n>", "seed of everything that is random", whole(0))
    .option("--steps <n>", "number of training steps on the reward", whole(1))
    .option("--evaluate-every <n>", "also measure on held-out tasks after every so many steps", whole(1))
    .option(
      "--method <name>",
      "train with a paper's method, or a rival of the job, in place of its own; with --compare again for more",
      listed,
    )
    .option("--directory <folder>", "folder of the run (default: runs/<job>-<seed>)")
    .option("--threads <n>", "processor threads; they change the speed and nothing else", workers)
    .option("--compare", "train other methods from the same warm-up under equal time, and print the table")
    .option("--engine <where>", "local, or tinker: an adapter on a training service that speaks the Tinker protocol (default: local)")
    .option("--base-url <address>", "with --engine tinker: the service, for instance http://localhost:8500")
    .option("--model <name>", "with --engine tinker: the base model, as the service names it")
    .option("--rank <n>", "with --engine tinker: rank of the adapter (default: the configuration's, or 32)", whole(1))
    .option(
      "--tokenizer <name>",
      "with --engine tinker: a model's folder, or owner/name on the hub (default: the configuration's folder, or the model)",
    )
    .option("--key-env <name>", "with --engine tinker: environment variable with the service's key (default: TINKER_API_KEY)")
    .option("--server-losses", "with --engine tinker: let the service compute the losses that it has, in one call instead of two")
    .option("--dry-run", "print the resolved settings, with --engine tinker also what would be asked of the service, and stop")
    .option(...json)
    .addHelpText(
      "after",
      examples(
        "train countdown",
        "train sorting --seed 1 --directory runs/first",
        "train countdown --method canon --compare",
        "train countdown --dry-run",
        "train train.config.ts --steps 50",
        "train train.config.ts --engine tinker --base-url http://localhost:8500 --model small --dry-run",
      ),
    )
    .action(action(async (s, job: string, options: TrainCommand) => (await import("./commands/train.ts")).train(s, job, options)));

  program
    .command("resume")
    .description("go on with a run from its last checkpoint")
    .argument("<run>", "folder of the run")
    .option("--compare", "also train the other methods (said by itself once one of them has begun)")
    .option(...serviceAddress)
    .option(...serviceKey)
    .option("--threads <n>", "processor threads", workers)
    .option(...json)
    .addHelpText("after", examples("resume runs/countdown-0"))
    .action(action(async (s, run: string, options: ResumeCommand) => (await import("./commands/train.ts")).resume(s, run, options)));

  program
    .command("eval")
    .description("measure a run's policy on held-out tasks")
    .argument("<run>", "folder of a run, or of a model (then say the environment)")
    .argument("[environment]", "countdown, sorting, or a file (JSONL, CSV, Parquet) with prompt and reference (default: the run's own)")
    .option("--tasks <n>", "number of tasks, two or more", whole(2))
    .option("--samples <n>", "answers a task at temperature 1", whole(1))
    .option("--seed <n>", "seed of the draw", whole(0))
    .option(...checkpoint)
    .option(...columns)
    .option("--fail-under <share>", "exit with 1 when pass@1 is below this", number(0, 1))
    .option(...serviceAddress)
    .option(...serviceKey)
    .option("--threads <n>", "processor threads", workers)
    .option(...json)
    .addHelpText(
      "after",
      examples(
        "eval runs/countdown-0",
        "eval models/mine questions.jsonl --columns prompt=question,reference=answer",
        "eval runs/countdown-0 --tasks 100 --fail-under 0.5 --json",
      ),
    )
    .action(
      action(async (s, run: string, environment: string | undefined, options: EvalCommand) =>
        (await import("./commands/eval.ts")).evaluateRun(s, run, environment, options),
      ),
    );

  program
    .command("sample")
    .description("show answers of a run's policy")
    .argument("<run>", "folder of a run or of a model")
    .argument("[prompt]", "a prompt, or a file with a prompt a line (default: held-out tasks of the run)")
    .option(...columns)
    .option("-n, --samples <n>", "answers a prompt", whole(1))
    .option("--temperature <t>", "0 takes the most likely token each time", number(0, 100))
    .option("--top-k <k>", "keep the k most likely tokens; 0 keeps all", whole(0))
    .option("--top-p <p>", "keep the most likely tokens up to this probability", number(0, 1))
    .option("--max-tokens <n>", "longest answer", whole(1))
    .option("--seed <n>", "seed of the draw", whole(0))
    .option(...checkpoint)
    .option(...serviceAddress)
    .option(...serviceKey)
    .option("--threads <n>", "processor threads", workers)
    .option(...json)
    .addHelpText(
      "after",
      examples(
        "sample runs/countdown-0",
        "sample runs/countdown-0 '7 2 9 = 14 :' -n 4",
        "sample runs/countdown-0 prompts.txt --temperature 0 --json",
      ),
    )
    .action(
      action(async (s, run: string, prompt: string | undefined, options: SampleCommand) =>
        (await import("./commands/sample.ts")).sample(s, run, prompt, options),
      ),
    );

  program
    .command("score")
    .description("score a file of answers with a reward")
    .argument("<file>", "answers: JSONL, CSV or Parquet, also compressed (.gz, .zst)")
    .requiredOption("--reward <reward>", "./reward.ts#name, or the name of one of Guerdon's own")
    .option("--out <file>", "write the rows with their scores: .jsonl, .csv, .tsv or .parquet")
    .option("--continue", "go on with an unfinished --out")
    .option("--overwrite", "replace --out")
    .option("--columns <list>", "where things are, for instance reference=solution,prompt=question")
    .option("--as <name>", "name of the score's column", "score")
    .option("--cache <folder>", "keep scores here; rows that were scored before cost nothing")
    .option("--concurrency <n>", "calls of the reward at the same time (default: 16)", whole(1))
    .option("--timeout <seconds>", "deadline of one call (default: 60)", number(0.001, 86_400))
    .option("--retries <n>", "further tries of a call that failed (default: 0)", whole(0))
    .option("--window <rows>", "rows that a group may span, for rewards of groups (default: 10000)", whole(1))
    .option("--minimum-coverage <share>", "stop with 1 when fewer rows can be scored", number(0, 1))
    .option("--watch", "score again whenever the reward changes, and show what changed")
    .option(...json)
    .addHelpText(
      "after",
      examples(
        "score answers.jsonl --reward ./reward.ts",
        "score answers.parquet --reward ./reward.ts#quality --out scored.parquet",
        "score answers.csv --reward ./reward.ts --columns reference=solution --out scored.csv --continue",
        "score answers.jsonl --reward ./reward.ts --watch",
      ),
    )
    .action(action(async (s, file: string, options: ScoreCommand) => (await import("./commands/score.ts")).scoreFile(s, file, options)));

  program
    .command("inspect")
    .description("say what a file of rows is, what is wrong with it and which commands take it")
    .argument("<file>", "JSONL, CSV or Parquet, also compressed (.gz, .zst)")
    .option("--columns <list>", "where things are, for instance reference=solution,prompt=question")
    .option(...json)
    .addHelpText("after", examples("inspect answers.jsonl", "inspect pairs.parquet --json"))
    .action(
      action(async (s, file: string, options: { columns?: string }) => (await import("./commands/inspect.ts")).inspect(s, file, options)),
    );

  program
    .command("serve")
    .description("serve a reward over HTTP: for OpenRLHF, TRL, verl, curl; or with --engine a model to train")
    .argument("[reward]", "./reward.ts, ./reward.ts#name, or the name of one of Guerdon's own")
    .option("--engine <folder>", "instead of a reward: serve the Tinker training protocol for the model in this folder")
    .option("--data <folder>", "with --engine: where checkpoints are kept, found again after a restart (default: guerdon-engine)")
    .option("--name <model>", "with --engine: what requests call the model (default: the folder's name)")
    .option("--threads <n>", "with --engine: threads that compute (default: 1)", workers)
    .option("--max-models <n>", "with --engine: adapters in memory at a time (default: 16)", whole(1))
    .option("--port <n>", "port; 0 takes one that is free (default: 8400, with --engine 8500)", whole(0))
    .option("--host <address>", "address to listen at (default: 127.0.0.1); others need a token")
    .option("--token-env <name>", "environment variable with the token that requests must bear")
    .option("--anonymous", "without a token also at addresses that other machines reach")
    .option("--unscorable <what>", "answers without a score, for /get_reward and /classify: fail or 0 (default: fail)", failOrZero)
    .option("--watch", "load the file anew whenever it changes")
    .option("--timeout <seconds>", "deadline of a request (default: 30)", number(0.001, 86_400))
    .option("--processes <n>", "processes that score (default: cores - 1, from 2 to 8)", workers)
    .option("--concurrency <n>", "calls of the reward at the same time in each (default: 32)", whole(1))
    .option("--memory <MiB>", "end a process that grows beyond this", whole(32))
    .option("--max-rows <n>", "rows that may wait; more are refused with 429 (default: 20000)", whole(1))
    .option("--max-megabytes <n>", "largest request (default: 16.8)", number(0.001, 2000))
    .option("--end-token <text>", "text that ends an answer, beside the usual ones; again for more", listed)
    .option(...json)
    .addHelpText(
      "after",
      examples(
        "serve ./reward.ts --watch",
        "serve ./reward.ts#quality --host 0.0.0.0 --token-env REWARD_TOKEN",
        "serve ./reward.ts --port 5000 --unscorable 0",
        "serve --engine ./model --data ./checkpoints",
      ),
    )
    .action(
      action(async (s, file: string | undefined, options: ServeCommand) => (await import("./commands/serve.ts")).serve(s, file, options)),
    );

  program
    .command("shim")
    .description(
      "print a Python file, of the standard library only, that calls guerdon serve from a trainer: guerdon shim trl > guerdon_reward.py",
    )
    .argument("<trainer>", "trl or verl")
    .option(...json)
    .addHelpText("after", examples("shim trl", "shim verl"))
    .action(action(async (s, trainer: string) => (await import("./commands/shim.ts")).shim(s, trainer)));

  program
    .command("papers")
    .description("list papers, search them, show one: what it says, what it is made of, whether its claim held")
    .argument("[words...]", "words of the title, the summary, the family, the parts; or a slug")
    .option("--results <folder>", "where results are recorded (default: results)")
    .option(...json)
    .addHelpText("after", examples("papers", "papers preference", "papers canon"))
    .action(
      action(async (s, words: string[], options: { results?: string }) => (await import("./commands/papers.ts")).papers(s, words, options)),
    );

  program
    .command("reproduce")
    .description("run the claims of papers, arms by seeds, and hold them against their thresholds; the same line goes on after Ctrl-C")
    .argument("[papers...]", "slugs, or files of your own that export `paper` (default: all papers)")
    .option("--seeds <n>", "how many seeds from 1000 on, or the first and the last: 0-19 (default: what each claim asks for)", seedChoice)
    .option("--quick", "a first look with 4 seeds for developing; does not count, writes nothing")
    .option("--force", "also what has not changed since its last run")
    .option("--out <folder>", "where results are recorded (default: results)")
    .option("--processes <n>", "trials at a time (default: one a core)", workers)
    .option(...json)
    .addHelpText(
      "after",
      examples("reproduce --quick", "reproduce canon", "reproduce canon xpo --seeds 1000-1039", "reproduce ./my-paper.ts"),
    )
    .addHelpText(
      "after",
      "\nExit status 1: a claim does not hold that held before or was not recorded yet, or could not be run. One that is recorded as not holding is no news.",
    )
    .action(
      action(async (s, names: string[], options: ReproduceCommand) =>
        (await import("./commands/reproduce.ts")).reproduce(s, names, options),
      ),
    );

  const runs = program.command("runs").description("look at runs");
  runs
    .command("list")
    .description("the runs in a folder")
    .argument("[folder]", "where to look", "runs")
    .option(...json)
    .addHelpText("after", examples("runs list", "runs list experiments --json"))
    .action(action(async (s, folder: string) => (await import("./commands/runs.ts")).list(s, folder)));
  runs
    .command("show")
    .description("a run's settings, curve, evaluations and notes")
    .argument("<run>", "folder of the run")
    .option("--metric <name>", "metric of the curve (default: reward/mean, else loss)")
    .option(...json)
    .addHelpText("after", examples("runs show runs/countdown-0", "runs show runs/countdown-0 --metric entropy"))
    .action(action(async (s, run: string, options: { metric?: string }) => (await import("./commands/runs.ts")).show(s, run, options)));
  runs
    .command("compare")
    .description("curves of several runs in one plot, and where their settings differ")
    .argument("<runs...>", "folders of runs")
    .option("--metric <name>", "metric of the curves (default: reward/mean, else loss)")
    .option(...json)
    .addHelpText("after", examples("runs compare runs/countdown-0 runs/countdown-1"))
    .action(
      action(async (s, folders: string[], options: { metric?: string }) =>
        (await import("./commands/runs.ts")).compare(s, folders, options),
      ),
    );
  runs
    .command("export")
    .description("write metrics as CSV, Parquet or TensorBoard events, or a run's weights as a model")
    .argument("<runs...>", "folders of runs")
    .requiredOption("--to <format>", "csv, parquet, tensorboard, or model: a folder that transformers reads")
    .requiredOption("--out <path>", "file to write (tensorboard, model: folder)")
    .option(...checkpoint)
    .option(...json)
    .addHelpText(
      "after",
      examples(
        "runs export runs/countdown-0 --to csv --out metrics.csv",
        "runs export runs/* --to tensorboard --out events",
        "runs export runs/tuned-0 --to model --out models/tuned",
      ),
    )
    .action(
      action(async (s, folders: string[], options: ExportCommand) => (await import("./commands/export.ts")).exportTo(s, folders, options)),
    );

  program
    .command("init")
    .description("write a commented configuration, a reward and its test")
    .argument("[folder]", "where to write", ".")
    .option(...json)
    .addHelpText("after", examples("init my-first-run"))
    .action(action(async (s, folder: string) => (await import("./commands/init.ts")).init(s, folder)));

  program
    .command("doctor")
    .description("check Node, WebGPU, threads, memory, disk and optional packages, or what a model's server can do")
    .option("--model <url>", "address of an OpenAI-compatible server, for instance http://localhost:8000/v1")
    .option("--name <model>", "the model's name, where the server has several")
    .option("--key-env <variable>", "environment variable that holds the server's key")
    .option(...json)
    .addHelpText("after", examples("doctor", "doctor --json", "doctor --model http://localhost:8000/v1"))
    .action(
      action(async (s, { model, ...rest }: Partial<DoctorModel>) => {
        if (model !== undefined) return (await import("./commands/doctor-model.ts")).doctorModel(s, { model, ...rest });
        const lonely = Object.entries({ "--name": rest.name, "--key-env": rest.keyEnv }).find(([, value]) => value !== undefined);
        if (lonely !== undefined) throw new GuerdonError("usage", `${lonely[0]} needs --model <url>.`);
        return (await import("./commands/doctor.ts")).doctor(s);
      }),
    );

  program
    .command("bench")
    .description("measure this machine: training step and sampling, or the main job over seeds")
    .argument("[what]", "main-job: train countdown over seeds and write results/main-job.json")
    .option("--tiny", "tiny shapes, to see that it works; writes nothing")
    .option("--seeds <n>", "number of seeds (main-job)", whole(1))
    .option("--first <n>", "first seed (main-job; default 100)", whole(0))
    .option("--compare", "also train other methods under equal time, for the first seed (main-job)")
    .option("--threads <n>", "processor threads", workers)
    .option(...json)
    .addHelpText("after", examples("bench", "bench main-job --seeds 3"))
    .action(
      action(async (s, what: string | undefined, options: BenchOptions) => (await import("./commands/bench.ts")).bench(s, what, options)),
    );

  refuseForgottenValues(program);
  return program;
}

/** "error: unknown option '--stepz'\n(Did you mean --steps?)" as one sentence of ours. */
function usage(error: CommanderError): string {
  const text = error.message
    .replace(/^error: /, "")
    .replace(/\n?\((Did you mean .*\?)\)/, ". $1")
    .trim();
  return `${text}${/[.?]$/.test(text) ? "" : "."} See \`${command} --help\`.`;
}

/** Runs one command line and returns the exit status. */
export async function run(words: readonly string[]): Promise<number> {
  let exit = 0;
  const program = build(async (work) => {
    exit = (await work()) ?? 0;
  });
  const asJson = words.includes("--json");
  const fail = (text: string, code: string, message: string) => {
    process.stderr.write(text + "\n");
    if (asJson) process.stdout.write(JSON.stringify({ error: { code, message: withCommand(message) } }, null, 2) + "\n");
  };
  try {
    await program.parseAsync(words, { from: "user" });
    return exit;
  } catch (cause) {
    if (cause instanceof CommanderError) {
      if (cause.code === "commander.helpDisplayed" || cause.code === "commander.version") return 0;
      if (cause.code !== "commander.help") fail(`guerdon: ${usage(cause)}`, "usage", usage(cause));
      return 2;
    }
    const { exit: status, code, text } = explain(cause);
    fail(text, code, cause instanceof Error ? cause.message : String(cause));
    return status;
  }
}
