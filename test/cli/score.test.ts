import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readRows } from "../../src/data/index.ts";
import { guerdon } from "./guerdon.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-score-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const at = (name: string) => join(root, name);
const write = (name: string, content: string) => writeFileSync(at(name), content);
const jsonl = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row) + "\n").join("");
const rowsIn = async (name: string) => {
  const rows = [];
  for await (const { row } of readRows(at(name))) rows.push(row);
  return rows;
};

beforeAll(() => {
  mkdirSync(at("node_modules"));
  symlinkSync(resolve(import.meta.dirname, "../.."), at("node_modules/guerdon"));
  write(
    "reward.ts",
    `import { reward, sum } from "guerdon/rewards";
     export const brief = reward("brief", ({ text }) => (text === "?" ? null : text.length < 3));
     export const even = reward("even", ({ text }) => text.length % 2 === 0);
     export const both = sum({ brief, even });
     export const size = reward.group("size", (answers) => answers.map(() => answers.length));
     export const plain = ({ text }) => 1;`,
  );
  write("one.ts", `import { reward } from "guerdon/rewards"; export const only = reward("only", () => 1);`);
  write("none.ts", "export const x = 1;");
  write(
    "answers.jsonl",
    '{"prompt": "p",  "completion":"a", "id":12345678901234567890, "date":"2024-01-01"}\n\n{"prompt":"p","completion":"?","id":2,"date":"x"}\r\n',
  );
});

describe("guerdon score", () => {
  test("says what was scored, what was not and why; writes nothing without --out", async () => {
    const { status, out, said } = await guerdon(["score", "answers.jsonl", "--reward", "./reward.ts#both"], root);
    expect(said).toMatch(/^answers\.jsonl: answers to prompts\n/);
    expect(status).toBe(0);
    expect(out).toMatch(/sum\(brief, even\) +1 +1 +1\n +brief +1 +1 +1\n +even +0 +2 +0\n/);
    expect(out).toMatch(
      /scored 1 of 2; 1 unscorable: 1 declined\n {2}row 2: The part "brief": The reward "brief" could not say \(null\)\./,
    );
    expect(readdirSync(root).toSorted()).toEqual(["answers.jsonl", "node_modules", "none.ts", "one.ts", "reward.ts"]);
  });

  test("JSONL rows stay as they are written, character by character", async () => {
    const { status, said } = await guerdon(
      ["score", "answers.jsonl", "--reward", "reward.ts#both", "--out", "deep/out.jsonl", "--json"],
      root,
    );
    expect(status, said).toBe(0);
    expect(readFileSync(at("deep/out.jsonl"), "utf8").split("\n")).toEqual([
      '{"prompt": "p",  "completion":"a", "id":12345678901234567890, "date":"2024-01-01","score":1,"score_parts":{"brief":1,"even":0},"score_error":null}',
      '{"prompt":"p","completion":"?","id":2,"date":"x","score":null,"score_parts":{"brief":null,"even":0},"score_error":{"kind":"declined","message":"The part \\"brief\\": The reward \\"brief\\" could not say (null)."}}',
      "",
    ]);
    expect(readdirSync(at("deep"))).toEqual(["out.jsonl"]);
  });

  test("the same rows in CSV and Parquet, from each to each", async () => {
    const cell = (value: unknown) => `"${(typeof value === "string" ? value : JSON.stringify(value)).replaceAll('"', '""')}"`;
    const prompt = [{ role: "user", content: "two\nlines, and more" }];
    write("in.csv", `\ufeffprompt,completion,label,day\r\n${cell(prompt)},a,True,2024-01-01\r\n${cell(prompt)},"?",false,\r\n`);
    const connection = await (await DuckDBInstance.create()).connect();
    await connection.run(
      `COPY (SELECT [{role: 'user', content: 'q'}] AS prompt, 'x' || i AS completion, i::BIGINT + 9007199254740993 AS big, DATE '2024-01-01' + i::INT AS day
             FROM range(5000) r(i)) TO '${at("in.parquet")}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`,
    );
    const score = async (from: string, to: string, name = "both") => {
      const { status, said } = await guerdon(["score", from, "--reward", `reward.ts#${name}`, "--out", to], root);
      expect(status, said).toBe(0);
    };
    await score("in.csv", "from-csv.csv");
    expect(readFileSync(at("from-csv.csv"), "utf8")).toBe(
      `prompt,completion,label,day,score,score_parts,score_error\r\n${cell(prompt)},a,True,2024-01-01,1,${cell({ brief: 1, even: 0 })},\r\n` +
        `${cell(prompt)},?,false,,,${cell({ brief: null, even: 0 })},${cell({ kind: "declined", message: 'The part "brief": The reward "brief" could not say (null).' })}\r\n`,
    );
    await score("in.csv", "from-csv.jsonl");
    expect((await rowsIn("from-csv.jsonl"))[0]).toEqual({
      prompt,
      completion: "a",
      label: true,
      day: "2024-01-01",
      score: 1,
      score_parts: { brief: 1, even: 0 },
      score_error: null,
    });
    await score("in.csv", "from-csv.parquet");
    const [one, two] = await rowsIn("from-csv.parquet");
    expect(one).toEqual({
      prompt,
      completion: "a",
      label: true,
      day: "2024-01-01",
      score: 1,
      score_parts: { brief: 1, even: 0 },
      score_error: null,
    });
    expect(two).toMatchObject({ score: null, score_parts: { brief: null, even: 0 }, score_error: { kind: "declined" } });

    await score("in.parquet", "out.parquet", "even");
    const types = await connection.runAndReadAll(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM '${at("out.parquet")}')`);
    expect(types.getRows()).toEqual([
      ["prompt", 'STRUCT("role" VARCHAR, "content" VARCHAR)[]'],
      ["completion", "VARCHAR"],
      ["big", "BIGINT"],
      ["day", "DATE"],
      ["score", "DOUBLE"],
      ["score_parts", "VARCHAR"],
      ["score_error", "STRUCT(kind VARCHAR, message VARCHAR)"],
    ]);
    const wrong = await connection.runAndReadAll(
      `SELECT count(*) FILTER (a.big <> b.big OR a.day <> b.day OR b.score <> (length(b.completion) + 1) % 2), count(*)
       FROM '${at("in.parquet")}' a JOIN '${at("out.parquet")}' b USING (completion)`,
    );
    expect(wrong.getRows()).toEqual([[0n, 5000n]]);
    await score("in.parquet", "from-parquet.csv", "even");
    expect(await rowsIn("from-parquet.csv")).toHaveLength(5000);
    connection.closeSync();
  });

  test("what is already there is not touched", async () => {
    write("taken.jsonl", "mine");
    const words = ["score", "answers.jsonl", "--reward", "one.ts", "--out", "taken.jsonl"];
    expect((await guerdon(words, root)).said).toContain("taken.jsonl exists already: choose another name, or say --overwrite.");
    expect(readFileSync(at("taken.jsonl"), "utf8")).toBe("mine");
    expect((await guerdon([...words, "--overwrite"], root)).status).toBe(0);
    const again = ["score", "taken.jsonl", "--reward", "one.ts", "--out", "second.jsonl"];
    expect((await guerdon(again, root)).said).toMatch(
      /taken\.jsonl already has "score" and "score_parts" and "score_error"\. Choose another name for the score: --as second_score\./,
    );
    expect((await guerdon([...again, "--as", "second"], root)).status).toBe(0);
    expect((await rowsIn("second.jsonl"))[0]).toMatchObject({ score: 1, second: 1 });
    expect((await guerdon([...words, "--continue"], root)).said).toContain("taken.jsonl is finished: there is nothing to continue");
  });

  test("mistakes end with status 2 and one sentence", async () => {
    write("broken.ts", 'import { reward } from "guerdon/rewards";\nexport const x = reward("x", () => { return 1;\n');
    write("throws.ts", 'throw new Error("no key");');
    const cases: readonly (readonly [string[], RegExp])[] = [
      [
        ["answers.jsonl", "--reward", "reward.ts#evne"],
        /reward\.ts has no export named evne\. Did you mean even\? Its rewards: both, brief, even, size/,
      ],
      [["answers.jsonl", "--reward", "reward.ts"], /reward\.ts exports several rewards, say which: reward\.ts#both, reward\.ts#brief/],
      [
        ["answers.jsonl", "--reward", "reward.ts#plain"],
        /reward\.ts#plain is a function\. Export the reward itself: export const plain = reward\("plain", \.\.\.\)/,
      ],
      [["answers.jsonl", "--reward", "none.ts"], /none\.ts exports no reward: export const brief/],
      [["answers.jsonl", "--reward", "rewrd.ts"], /there is no rewrd\.ts\. Did you mean reward\.ts\?/],
      [["answers.jsonl", "--reward", "broken.ts"], /broken\.ts:\d+: /],
      [["answers.jsonl", "--reward", "throws.ts"], /throws\.ts threw while it was loaded: Error: no key/],
      [["answers.jsonl", "--reward", "no-such-reward"], /--reward no-such-reward: there is no such reward\./],
      [["answres.jsonl", "--reward", "one.ts"], /there is no answres\.jsonl\. Did you mean answers\.jsonl\?/],
      [
        ["answers.jsonl", "--reward", "one.ts", "--out", "x.xlsx"],
        /x\.xlsx: the file to write must end with \.jsonl, \.csv, \.tsv or \.parquet/,
      ],
      [["answers.jsonl", "--reward", "one.ts", "--columns", "refrence=x"], /"refrence" is none of .* Did you mean reference\?/],
      [["answers.jsonl", "--reward", "one.ts", "--continue"], /say which with --out/],
      [["answers.jsonl"], /required option '--reward <reward>'/],
    ];
    for (const [words, sentence] of cases) {
      const { status, out, said } = await guerdon(["score", ...words], root);
      expect(said).toMatch(sentence);
      expect(said).not.toContain("should not happen");
      expect(status, said).toBe(2);
      expect(out).toBe("");
    }
  });

  test("too little coverage ends with status 1 and can be continued", async () => {
    const { status, said } = await guerdon(
      ["score", "answers.jsonl", "--reward", "reward.ts#brief", "--minimum-coverage", "0.9", "--out", "poor.jsonl"],
      root,
    );
    expect(status).toBe(1);
    expect(said).toMatch(
      /cannot reach the minimum coverage of 90 % of 2 rows: scored 1 of 2; 1 unscorable: 1 declined\. .*\.partial: the same command with --continue goes on/,
    );
    expect(existsSync(at("poor.jsonl"))).toBe(false);
  });

  test("a cache makes the second time free; a changed reward file, or one that it imports, is another reward", async () => {
    write(
      "counted.ts",
      `import { appendFileSync } from "node:fs"; import { reward } from "guerdon/rewards"; import { mark } from "./mark.ts";
      export const counted = reward("counted", ({ text }) => { appendFileSync("calls.txt", text); return mark; });`,
    );
    write("mark.ts", "export const mark = 1;");
    const words = ["score", "answers.jsonl", "--reward", "counted.ts", "--cache", "kept", "--json"];
    await guerdon(words, root);
    const { out } = await guerdon(words, root);
    expect(JSON.parse(out)).toMatchObject({ cached: 2, scored: 2 });
    expect(readFileSync(at("calls.txt"), "utf8")).toBe("a?");
    write("counted.ts", readFileSync(at("counted.ts"), "utf8").replace("return mark", "return 2 * mark"));
    expect(JSON.parse((await guerdon(words, root)).out)).toMatchObject({ cached: 0, mean: 2 });
    write("mark.ts", "export const mark = 3;");
    expect(JSON.parse((await guerdon(words, root)).out)).toMatchObject({ cached: 0, mean: 6 });
  });
});

describe("a scoring that is killed", () => {
  const rows = Array.from({ length: 600 }, (_, i) => ({ prompt: `p${i >> 2}`, completion: `answer ${i} ${"x".repeat(400)}` }));
  // Answers from the number in the file "until" on are not scored as long as it is there: what is to happen in the middle finds the middle.
  const slow = `import { existsSync, readFileSync, writeFileSync } from "node:fs";
    import { reward } from "guerdon/rewards";
    const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
    const turn = async ({ text }) => {
      while (existsSync("until") && Number(text.split(" ")[1]) >= Number(readFileSync("until", "utf8"))) {
        writeFileSync("held", "");
        await wait(5);
      }
    };
    export const row = reward("row", async (answer) => { await wait(5); await turn(answer); return answer.text.length % 7 === 0 ? null : answer.text.length; });
    export const group = reward.group("group", async (answers) => {
      await wait(20);
      for (const answer of answers) await turn(answer);
      return answers.map(({ text }, i) => answers.length * 10 + i);
    });`;
  const holdAt = (answer: number) => {
    // Never half a number.
    write("until.new", String(answer));
    renameSync(at("until.new"), at("until"));
  };
  const letGo = () => rmSync(at("until"), { force: true });

  test.each(["row", "group"])("goes on to the file of an uninterrupted one, for rewards of a %s", async (name) => {
    write("long.jsonl", jsonl(rows));
    write("slow.ts", slow);
    const words = (out: string) => [
      "score",
      "long.jsonl",
      "--reward",
      `slow.ts#${name}`,
      "--out",
      out,
      "--window",
      "40",
      "--concurrency",
      "2",
    ];
    const whole = `whole-${name}.jsonl`;
    expect((await guerdon(words(whole), root)).status).toBe(0);
    const out = `killed-${name}.jsonl`;
    const partial = at(`${out}.partial`);
    let kills = 0;
    // Of the answers before the one that is held, all but those of the last write are in the file.
    for (const [least, held] of [
      [1, 200],
      [60_000, 320],
      [120_000, 480],
    ] as const) {
      holdAt(held);
      let poll: ReturnType<typeof setInterval> | undefined;
      const { status, said } = await guerdon([...words(out), ...(kills > 0 ? ["--continue"] : [])], root, (child) => {
        poll ??= setInterval(() => {
          if (existsSync(partial) && statSync(partial).size >= least) child.kill("SIGKILL");
        }, 5);
      });
      clearInterval(poll);
      expect(status, said).toBeNull();
      kills++;
      expect(existsSync(at(out))).toBe(false);
      // As a kill inside a write leaves it.
      const text = readFileSync(partial, "utf8");
      writeFileSync(partial, text + rows[0]!.completion.slice(0, 50));
    }
    letGo();
    const { status, said } = await guerdon(words(out), root);
    expect(status).toBe(2);
    expect(said).toContain(`${out} is unfinished (${out}.partial): go on with --continue, or start anew with --overwrite.`);
    const last = await guerdon([...words(out), "--continue", "--json"], root);
    expect(last.status, last.said).toBe(0);
    expect(last.said).toMatch(/Going on after \d+ rows of /);
    expect(readFileSync(at(out), "utf8")).toBe(readFileSync(at(whole), "utf8"));
    const { total, scored, earlier } = JSON.parse(last.out) as Record<string, number>;
    expect(total).toBe(600);
    expect(scored).toBe(rows.filter(({ completion }) => name === "group" || completion.length % 7 !== 0).length);
    expect(earlier).toBeGreaterThan(100);
    expect(readdirSync(root).filter((one) => one.startsWith(`${out}.`))).toEqual([]);
  });

  test("Ctrl-C keeps what was done; another input or reward cannot continue it", async () => {
    write("long.jsonl", jsonl(rows));
    write("slow.ts", slow);
    const words = ["score", "long.jsonl", "--reward", "slow.ts#row", "--out", "stopped.jsonl"];
    holdAt(300);
    rmSync(at("held"), { force: true });
    let poll: ReturnType<typeof setInterval> | undefined;
    let sent = false;
    const { status, said } = await guerdon(words, root, (child, so) => {
      poll ??= setInterval(() => {
        if (!sent && existsSync(at("held"))) sent = child.kill("SIGINT");
      }, 5);
      if (so.includes("Stopping")) letGo();
    });
    clearInterval(poll);
    expect(status, said).toBe(130);
    expect(said).toContain("scoring 1/600");
    expect(said).toMatch(
      /Scoring was stopped after \d+ rows\. What was scored is in stopped\.jsonl\.partial: the same command with --continue goes on\./,
    );
    const done = readFileSync(at("stopped.jsonl.partial"), "utf8").split("\n").length - 1;
    expect(done).toBeGreaterThan(10);
    expect(await rowsIn("stopped.jsonl.partial")).toHaveLength(done);
    write("slow.ts", `${slow}\n`);
    const changed = await guerdon([...words, "--continue"], root);
    expect(changed.said).toMatch(/the reward changed since this was begun, so that it cannot be continued\. Start anew with --overwrite\./);
    expect(changed.status).toBe(2);
  });
});

test("--watch shows changed scores at once, and a broken reward until it is mended", async () => {
  mkdirSync(at("watched"));
  write(
    "watched/rows.jsonl",
    jsonl([
      { prompt: "p", completion: "one" },
      { prompt: "p", completion: "three" },
    ]),
  );
  write("watched/limit.ts", "export const limit = 4;");
  const source = `import { reward } from "guerdon/rewards"; import { limit } from "./limit.ts";
    export const short = reward("short", ({ text }) => text.length < limit);`;
  write("watched/reward.ts", source);
  /** In one step, as editors save: of a file that is emptied and then written, a scoring may see the empty one. */
  const save = (name: string, content: string) => {
    write("saved", content);
    renameSync(at("saved"), at(name));
  };
  const steps: { readonly when: string; readonly act: () => void }[] = [
    { when: "Watching", act: () => save("watched/limit.ts", "export const limit = 9;") },
    { when: "Watching", act: () => save("watched/reward.ts", source.replace("limit)", "limit")) },
    { when: "reward.ts:", act: () => save("watched/reward.ts", source.replace("text.length <", "text.length >")) },
    { when: "Watching", act: () => undefined },
    { when: "Watching", act: () => undefined },
  ];
  let [heard, next] = [0, 0];
  const { status, out, said } = await guerdon(
    ["score", "watched/rows.jsonl", "--reward", "watched/reward.ts", "--watch"],
    root,
    (child, so) => {
      for (let step = steps[next]; step !== undefined; step = steps[next]) {
        const found = so.indexOf(step.when, heard);
        if (found < 0) return;
        heard = found + step.when.length;
        next++;
        setTimeout(next === steps.length ? () => child.kill("SIGINT") : step.act, 50);
      }
    },
  );
  expect(status, said).toBe(130);
  expect(out.split("\n")).toEqual([
    'row 1: 1  "one"',
    'row 2: 0  "three"',
    "scored 2 of 2, mean 0.5",
    'row 2: 0 -> 1  "three"',
    "scored 2 of 2, mean 1; 1 changed",
    'row 1: 1 -> 0  "one"',
    'row 2: 1 -> 0  "three"',
    "scored 2 of 2, mean 0; 2 changed",
    "",
  ]);
});

describe("guerdon inspect", () => {
  test("says what a file is, what is wrong with it and who takes it", async () => {
    write(
      "pairs.jsonl",
      jsonl([
        { prompt: "p", chosen: "a", rejected: "b" },
        { prompt: "p", chosen: "a", rejected: "a" },
        { prompt: "p", chosen: "a" },
      ]),
    );
    const { status, out } = await guerdon(["inspect", "pairs.jsonl"], root);
    expect(status).toBe(1);
    expect(out).toContain("preference pairs (TRL, RewardBench 1)");
    expect(out).toContain('problem: "chosen" and "rejected" are equal: row 2\n');
    expect(out).toContain('problem: "rejected" is missing: row 3\n');
    const good = await guerdon(["inspect", "answers.jsonl", "--json"], root);
    expect(good.status).toBe(0);
    expect(JSON.parse(good.out)).toMatchObject({ format: "jsonl", rows: 2, kind: "answers", problems: [], commands: ["score"] });
  });

  test("files that are no rows", async () => {
    write("empty.jsonl", "");
    expect((await guerdon(["inspect", "empty.jsonl"], root)).out).toContain("problem: there are no rows");
    write("cut.jsonl", '{"prompt":"p"}\n{"prompt":');
    expect(await guerdon(["inspect", "cut.jsonl"], root)).toMatchObject({
      status: 2,
      said: expect.stringContaining("cut.jsonl line 2 is not JSON") as string,
    });
  });
});
