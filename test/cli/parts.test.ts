import type { Command } from "commander";
import { expect, test } from "vitest";
import { explain } from "../../src/cli/failure.ts";
import { intervalText, thresholdText } from "../../src/cli/claim-tables.ts";
import { build } from "../../src/cli/program.ts";
import { plot } from "../../src/cli/plot.ts";
import { progress } from "../../src/cli/progress.ts";
import { duration, printable, short, type Screen } from "../../src/cli/screen.ts";
import { didYouMean, editDistance } from "../../src/cli/suggest.ts";
import { table } from "../../src/cli/table.ts";
import { GuerdonError } from "../../src/error.ts";
import { metricsTable, toCsv } from "../../src/training/runs/export.ts";

test("edit distance counts inserts, deletions, replacements and swaps", () => {
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("trian", "train")).toBe(1);
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(didYouMean("resme", ["train", "resume"])).toBe(" Did you mean resume?");
  expect(didYouMean("xyz", ["train", "resume"])).toBe("");
});

test("one curve is drawn in dots, with its ends and a level", () => {
  const rising = Array.from({ length: 9 }, (_, i) => [i + 1, i / 8] as const);
  expect(plot([{ name: "a", points: rising }], { width: 8, height: 3, range: [0, 1], level: { value: 0.5, name: "chance" } })).toEqual([
    "1.00 ┤     ⢀⣠⠞",
    "0.50 ┤┈┈┈⣠⠴⠋┈┈ chance",
    "0.00 ┤⣀⡴⠚⠁    ",
    "     └────────",
    "      1      9",
  ]);
  expect(plot([{ name: "a", points: [] }], { width: 8, height: 3 })).toEqual([]);
});

test("several curves get a mark each and a legend", () => {
  const lines = plot(
    [
      {
        name: "up",
        points: [
          [0, 0],
          [1, 1],
        ],
      },
      {
        name: "down",
        points: [
          [0, 1],
          [1, 0],
        ],
      },
    ],
    { width: 2, height: 2 },
  );
  expect(lines).toEqual(["1.00 ┤○●", "0.00 ┤●○", "     └──", "      01", "      ● up", "      ○ down"]);
});

test("tables put numbers to the right and words to the left", () => {
  expect(
    table(
      ["method", "pass@1"],
      [
        ["grpo", 0.85],
        ["raft", "-"],
      ],
    ),
  ).toBe("method  pass@1\n──────────────\ngrpo      0.85\nraft         -");
});

test("numbers and durations are short", () => {
  expect([0, 12, 0.123456, 1e-5, 2.5e9, null].map(short)).toEqual(["0", "12", "0.1235", "1.00e-5", "2.50e+9", "-"]);
  expect([3.4, 75, 7500].map(duration)).toEqual(["3 s", "1 min 15 s", "2 h 05 min"]);
});

test("an interval beside its threshold", () => {
  const check = { say: "x", kind: "mean (t)", arms: ["a"], n: 3, level: 0.95, holds: true, p: 0.01, changed: null };
  const text = (estimate: number, low: number | null, high: number | null, above: number | null, below: number | null) =>
    `${intervalText({ ...check, estimate, low, high, above, below })} ${thresholdText({ ...check, estimate, low, high, above, below })}`;
  expect(text(0.73219, 0.7141, 0.7493, null, 0.8)).toBe("0.7322 [0.7141, 0.7493] < 0.8");
  expect(text(2, null, 3, 1, 4)).toBe("2 [-∞, 3] > 1 and < 4");
  expect(text(3.9999999, 3.9999999, 3.9999999, null, 4)).toBe("3.9999999 < 4");
  expect(text(4, 4, 4, null, 4)).toBe("4 < 4");
});

test("control characters of an answer cannot steer the terminal", () => {
  expect(printable("a\x1b[2Jb\rc\nd\te\x9bf")).toBe("a␛[2Jb␍c\nd\te␡f");
});

test("progress: plain lines now and then where nobody looks on, with rate and time left", () => {
  const said: string[] = [];
  const screen: Screen = {
    json: false,
    live: false,
    width: 80,
    result: () => undefined,
    say: (text = "") => void said.push(text),
    status: () => undefined,
    style: (_, text) => text,
    resultStyle: (_, text) => text,
  };
  let now = 0;
  const report = progress(screen, { name: "train", total: 30, every: 10, clock: () => now });
  for (let done = 1; done <= 30; done++) {
    now += 1000;
    report(done, { reward: done / 30 });
  }
  expect(said).toEqual([
    "  train 1/30  reward 0.03333",
    "  train 11/30  1.0 steps/s  19 s left  reward 0.3667",
    "  train 21/30  1.0 steps/s  9 s left  reward 0.7",
    "  train 30/30  1.0 steps/s  reward 1",
  ]);
});

test("known errors are one sentence, unknown ones show where they come from", () => {
  expect(explain(new GuerdonError("input", "a.jsonl, line 3: no prompt"))).toEqual({
    exit: 2,
    code: "input",
    text: "guerdon: a.jsonl, line 3: no prompt",
  });
  expect(explain(new GuerdonError("coverage", "x")).exit).toBe(1);
  expect(explain(new GuerdonError("interrupted", "x")).exit).toBe(130);
  const unknown = explain(new TypeError("x is undefined"));
  expect(unknown.exit).toBe(1);
  expect(unknown.text).toContain("Please report it");
  expect(unknown.text).toContain("parts.test.ts");
});

test("metrics as CSV: one column a metric, empty where a row has none", () => {
  const csv = toCsv(
    metricsTable([
      {
        name: 'a "run", or two',
        rows: [
          { step: 1, phase: "rl", kind: "step", values: { loss: 0.5 }, clock: { time: 2 } },
          { step: 1, phase: "rl", kind: "evaluation", values: { "pass@1": null } },
        ],
      },
    ]),
  );
  expect(csv).toBe('run,step,phase,kind,loss,time,pass@1\n"a ""run"", or two",1,rl,step,0.5,2,\n"a ""run"", or two",1,rl,evaluation,,,\n');
});

test("every command has examples in its help, and they are command lines that it takes", async () => {
  let help = "";
  const performed: string[] = [];
  const program = build(async () => void performed.push("one"));
  const commands = (of: Command): Command[] => [of, ...of.commands.flatMap(commands)];
  for (const command of commands(program)) {
    if (command.commands.length > 0 && command !== program) continue; // `runs` alone only lists its commands
    const before = help.length;
    command.configureOutput({ writeOut: (text) => void (help += text) }).outputHelp();
    expect(help.slice(before), command.name()).toContain("$ ./guerdon ");
  }
  const lines = [...help.matchAll(/^ {2}\$ \.\/guerdon (.+?)(?: > \S+)?$/gm)].map((match) => match[1]!);
  for (const line of lines)
    await program.parseAsync(
      [...line.matchAll(/'([^']*)'|(\S+)/g)].map((word) => word[1] ?? word[2]!),
      { from: "user" },
    );
  expect(performed).toHaveLength(lines.length);
  expect(lines.length).toBeGreaterThan(15);
});
