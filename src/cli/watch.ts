import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { readRows } from "../data/read.ts";
import { scoreIn } from "../data/scored-file.ts";
import { GuerdonError } from "../error.ts";
import type { ScoreCommand } from "./commands/score.ts";
import { interruptible } from "./interrupt.ts";
import { loadReward } from "./rewards.ts";
import { printable, short, type Screen } from "./screen.ts";
import { sourceFiles, sourceName } from "./source-digest.ts";

/** What is compared from one scoring to the next. */
interface Seen {
  readonly value: number | null;
  readonly error: string | null;
  readonly text: string;
}

/** Changed rows that are shown. */
const shownRows = 10;
/** Editors write a file in several steps. */
const quietMs = 80;

/**
 * `guerdon score --watch`: scores, and scores again whenever the reward's file, a file that it imports, one beside these or the input changes, each time in a process
 * of its own, so that everything is loaded anew. Shows the rows whose scores changed.
 */
export async function watchScores(screen: Screen, input: string, options: ScoreCommand): Promise<number> {
  const path = options.reward.replace(/#[^#]*$/, "");
  if (!/[./\\]/.test(path)) throw new GuerdonError("usage", "--watch needs a reward of your own: --reward ./reward.ts#name");
  if (options.out !== undefined) throw new GuerdonError("usage", "--watch shows scores and writes none: leave out --out");
  // A reward that cannot be loaded at all is said before anything is watched; later faults are shown and waited for.
  await loadReward(options.reward);
  const folder = mkdtempSync(join(tmpdir(), "guerdon-watch-"));
  const watchers = new Map<string, ReturnType<typeof watch>>();
  let child: ChildProcess | null = null;
  try {
    const watching = async (signal: AbortSignal): Promise<number> => {
      let before: readonly Seen[] | null = null;
      let isStale = true;
      let wake = (): void => undefined;
      let timer: NodeJS.Timeout | undefined;
      const changed = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          isStale = true;
          child?.kill("SIGKILL");
          wake();
        }, quietMs);
      };
      const inputPath = resolve(input);
      /** Folders are watched, because editors replace files; not what lies below them, which may be a whole node_modules. */
      const watchFolders = (): void => {
        for (const folderOf of new Set([inputPath, ...sourceFiles(path).keys()].map((file) => dirname(file))))
          if (!watchers.has(folderOf))
            watchers.set(
              folderOf,
              watch(folderOf, (_, name) => {
                if (name === null || sourceName.test(name) || join(folderOf, name) === inputPath) changed();
              }),
            );
      };
      signal.addEventListener("abort", () => {
        child?.kill("SIGKILL");
        wake();
      });
      for (;;) {
        if (signal.aborted) return 130;
        if (!isStale) {
          await new Promise<void>((resolveWait) => (wake = resolveWait));
          continue;
        }
        isStale = false;
        watchFolders();
        const out = join(folder, "scores.jsonl");
        child = scorer(input, options, out);
        const outcome = await ended(child);
        child = null;
        if (outcome.killed) continue;
        if (outcome.status !== 0) screen.say(outcome.said.trim());
        else {
          const now = await scoresIn(out);
          show(screen, before, now);
          before = now;
        }
        screen.say("Watching for changes. Ctrl-C ends it.");
      }
    };
    return await interruptible(screen, null, watching);
  } finally {
    for (const watcher of watchers.values()) watcher.close();
    (child as ChildProcess | null)?.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

function scorer(input: string, options: ScoreCommand, out: string): ChildProcess {
  const flags = Object.entries({
    "--reward": options.reward,
    "--columns": options.columns,
    "--cache": options.cache,
    "--concurrency": options.concurrency,
    "--timeout": options.timeout,
    "--retries": options.retries,
    "--window": options.window,
    "--minimum-coverage": options.minimumCoverage,
  }).flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)]));
  const words = ["score", input, "--out", out, "--overwrite", "--as", "guerdon_watch", ...flags];
  return spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...words], { stdio: ["ignore", "ignore", "pipe"] });
}

async function ended(child: ChildProcess): Promise<{ readonly status: number | null; readonly killed: boolean; readonly said: string }> {
  let said = "";
  child.stderr!.on("data", (data) => (said += String(data)));
  const [status, signal] = (await once(child, "close")) as [number | null, string | null];
  // Of a failure only the sentence counts, not the talk before it.
  const sentence = said.lastIndexOf("guerdon: ");
  return { status, killed: signal === "SIGKILL", said: sentence < 0 ? said : said.slice(sentence) };
}

async function scoresIn(path: string): Promise<Seen[]> {
  const seen: Seen[] = [];
  for await (const { row } of readRows(path)) {
    const { value, error } = scoreIn(row, "guerdon_watch");
    const { completion, prompt } = row;
    seen.push({ value, error: error?.message ?? null, text: JSON.stringify(completion ?? prompt ?? "").slice(0, 60) });
  }
  return seen;
}

function show(screen: Screen, before: readonly Seen[] | null, now: readonly Seen[]): void {
  const said = ({ value, error }: Seen): string => (value === null ? `unscorable (${printable(error ?? "")})` : short(value));
  const changes = now.flatMap((one, i) => {
    const old = before?.[i];
    if (old !== undefined && old.value === one.value && old.error === one.error) return [];
    return [
      {
        row: i + 1,
        before: old === undefined ? null : old.value,
        now: one.value,
        error: one.error,
        line: `row ${i + 1}: ${old === undefined ? "" : `${said(old)} -> `}${said(one)}  ${one.text}`,
      },
    ];
  });
  const values = now.flatMap(({ value }) => (value === null ? [] : [value]));
  const mean = values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
  const summary =
    `scored ${values.length} of ${now.length}, mean ${short(mean)}; ${before === null ? "" : `${changes.length} changed`}`.replace(
      /; $/,
      "",
    );
  const lines = [
    ...changes.slice(0, shownRows).map(({ line }) => line),
    ...(changes.length > shownRows ? [`and ${changes.length - shownRows} more`] : []),
    summary,
  ];
  screen.result(lines.join("\n"), {
    total: now.length,
    scored: values.length,
    mean,
    changed: changes.map(({ row, before: old, now: value, error }) => ({ row, before: old, now: value, error })),
  });
}
