import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { ClaimRecord } from "../../src/papers/record.ts";
import { guerdon } from "./guerdon.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-reproduce-"));
beforeEach(() => {
  for (const name of ["results", ".guerdon", "log"]) rmSync(join(root, name), { recursive: true, force: true });
});
afterAll(() => rmSync(root, { recursive: true }));

/** What is imported from here loads in no time; guerdon/papers loads every paper. */
const source = join(import.meta.dirname, "../../src");

interface Fake {
  /** What the method's arm does for `seed`. */
  readonly method?: string;
  /** What the arm without the part does. */
  readonly broken?: string;
  readonly below?: number;
  readonly seeds?: number;
  readonly seconds?: number;
}

/** A paper's file. Every trial leaves a line in the file "log". */
function write(
  slug: string,
  {
    method = "return { steps: 1 + 0.1 * stream(seed, 'method')() };",
    broken = "return { steps: 3 + stream(seed, 'broken')() };",
    below = 1.5,
    seeds = 4,
    // Ten times as much may be used, whatever else the machine does.
    seconds = 60,
  }: Fake = {},
) {
  writeFileSync(
    join(root, `${slug}.ts`),
    `
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { mean } from "${source}/papers/estimates.ts";
import { stream } from "${source}/statistics/stream.ts";
import type { Measured, Paper } from "guerdon/papers";
const arm = (name: string, f: (seed: number) => Measured | Promise<Measured>) => (seed: number) => {
  appendFileSync("log", name + " " + seed + "\\n");
  return f(seed);
};
export const paper: Paper = {
  slug: "${slug}", title: "A fake", year: 2025, arxiv: null, family: "reward design", summary: "Fake.", parts: ["credit/center"],
  claim: {
    label: "mechanism", statement: "Few steps.", falsifiedBy: "Many.", budget: "The same.", notMiniaturised: "Nothing.",
    arms: {
      method: arm("method", async (seed) => { ${method} }),
      broken: arm("broken", async (seed) => { ${broken} }),
    },
    method: "method", baseline: "broken", mustFail: ["broken"], seeds: ${seeds}, seconds: ${seconds},
    checks: [
      { say: "steps of the method", of: mean("method", "steps"), below: ${below} },
      { say: "steps without the part", of: mean("broken", "steps"), above: 2 },
    ],
  },
};
`,
  );
  return `./${slug}.ts`;
}

const record = (slug: string) => JSON.parse(readFileSync(join(root, "results", `${slug}.json`), "utf8")) as ClaimRecord;
const log = (): string[] => (existsSync(join(root, "log")) ? readFileSync(join(root, "log"), "utf8").trim().split("\n") : []);

describe("reproduce", () => {
  test("records what counts, does not run it again until it changes, and fails when it does not hold any more", async () => {
    const file = write("steady");
    const first = await guerdon(["reproduce", file, "--processes", "2"], root);
    expect(first.status, first.said).toBe(0);
    expect(first.out).toContain("mechanism, holds: Few steps.");
    expect(first.said).toContain("steady: 8 trials on 2 cores");
    expect(first.said).toContain("written: results/steady.json");
    const written = record("steady");
    expect(written).toMatchObject({ format: "guerdon-claim", version: 1, slug: "steady", holds: true, seeds: [1000, 1001, 1002, 1003] });
    expect(written.arms["method"]!["steps"]).toHaveLength(4);
    expect(written.checks[0]).toMatchObject({ say: "steps of the method", n: 4, below: 1.5, above: null, holds: true });
    expect(written.checks[0]!.p).toBeLessThan(0.001);
    // Lists stand on one line each, and no path or name of this machine is in the file.
    const text = readFileSync(join(root, "results", "steady.json"), "utf8");
    expect(text).toContain('"seeds": [1000, 1001, 1002, 1003],');
    expect(text).not.toContain(root);
    expect(existsSync(join(root, ".guerdon", "trials", `steady.${written.inputs}.jsonl`))).toBe(false);

    const second = await guerdon(["reproduce", file, "--json"], root);
    expect(second.status).toBe(0);
    expect(JSON.parse(second.out)).toMatchObject({
      claims: [{ slug: "steady", state: "unchanged", counts: true, record: { holds: true } }],
    });
    expect(log()).toHaveLength(8);

    // More seeds: only those that are new.
    await guerdon(["reproduce", file, "--seeds", "5"], root);
    expect(log()).toHaveLength(10);
    expect(record("steady").seeds).toHaveLength(5);
    expect(record("steady").arms["method"]!["steps"]!.slice(0, 4)).toEqual(written.arms["method"]!["steps"]);

    write("steady", { below: 0.5 });
    const third = await guerdon(["reproduce", file], root);
    expect(third.status).toBe(1);
    expect(third.said).toContain("steady held before, and does not any more.");
    expect(record("steady")).toMatchObject({ holds: false });
    // That is recorded now, and no news a second time.
    const fourth = await guerdon(["reproduce", file, "--force"], root);
    expect(fourth.status, fourth.said).toBe(0);
    expect(fourth.out).toContain("does not hold");
  });

  test("a trial that throws, measures nonsense or never ends fails its own claim in one sentence", async () => {
    const files = [
      write("throwing", { method: "if (seed === 1001) throw new RangeError('no such state'); return { steps: 1 };" }),
      write("nonsense", { method: "return { steps: seed === 1002 ? NaN : 1 };" }),
      write("hanging", { method: "for (;;) ;", broken: "for (;;) ;", seconds: 0.05 }),
      write("dying", { method: "process.exit(3);" }),
      write("changing", { method: "appendFileSync('changing.ts', '// later'); return { steps: 1 };" }),
      write("fine"),
    ];
    const { status, out, said } = await guerdon(["reproduce", ...files, "--processes", "2", "--json"], root);
    expect(status).toBe(1);
    const { claims } = JSON.parse(out) as { claims: { slug: string; state: string; why: string | null }[] };
    const why = Object.fromEntries(claims.map((claim) => [claim.slug, claim.why]));
    expect(why["throwing"]).toMatch(/^throwing: the arm "method" with seed 1001 threw RangeError: no such state \(throwing\.ts:\d+\)$/);
    expect(why["nonsense"]).toBe(
      'nonsense: the arm "method" with seed 1002 measured NaN as "steps": only finite numbers count, and a seed that never arrives is its cap',
    );
    expect(why["hanging"]).toMatch(
      /^hanging: the arm "(method|broken)" with seed \d+ was stopped: the claim says that it takes 0.05 s on two cores/,
    );
    expect(why["dying"]).toMatch(/^dying: the arm "method" with seed \d+ could not be run: it exited with code 3/);
    expect(why["changing"]).toMatch(/^changing: its sources changed while it ran/);
    expect(claims.at(-1)).toMatchObject({ slug: "fine", state: "ran", why: null });
    expect(said).toContain("✗ throwing: the arm");
    expect(existsSync(join(root, "results", "throwing.json"))).toBe(false);
    expect(record("fine").holds).toBe(true);
  });

  test("after kill -9 and after Ctrl-C the same line goes on, and no finished trial is run again", async () => {
    const file = write("slow", {
      // Waits as long as a file with its seed's number is there.
      method: "while (existsSync('hold' + seed)) await pause(5); return { steps: 1 + stream(seed, 'x')() / 10 };",
      seeds: 8,
    });
    const words = ["reproduce", file, "--processes", "1"];
    const trialFile = () => {
      const folder = join(root, ".guerdon", "trials", "slow");
      const name = existsSync(folder) ? readdirSync(folder).find((one) => one.endsWith(".jsonl")) : undefined;
      return name === undefined ? undefined : join(folder, name);
    };
    const kept = () => {
      const path = trialFile();
      return path === undefined ? 0 : readFileSync(path, "utf8").split("\n").length - 1;
    };
    /** Ends it in the middle of the trial after so many: of each seed the method comes first. */
    const when = async (trials: number, signal: "SIGKILL" | "SIGINT") => {
      const [hold, before] = [join(root, `hold${1000 + trials / 2}`), log().length];
      const done = kept();
      writeFileSync(hold, "");
      let timer: ReturnType<typeof setInterval> | undefined;
      let sent = false;
      const ended = await guerdon(words, root, (child) => {
        timer ??= setInterval(() => {
          if (sent || kept() < trials || log().length < before + trials - done + 1) return;
          sent = child.kill(signal);
        }, 5);
      });
      clearInterval(timer);
      rmSync(hold);
      return ended;
    };
    expect((await when(4, "SIGKILL")).status).toBeNull();
    const stopped = await when(8, "SIGINT");
    expect(stopped.status, stopped.said).toBe(130);
    expect(stopped.said).toContain("the same line goes on");
    expect(existsSync(join(root, "results"))).toBe(false);
    const before = kept();
    expect(before).toBe(8);
    // A kill in the middle of a line.
    writeFileSync(trialFile()!, '{"arm":"meth', { flag: "a" });
    const { status, said } = await guerdon(words, root);
    expect(status, said).toBe(0);
    expect(said).toContain(`trials ${before}/16`);
    // 16 trials, and one that each interruption cut off.
    expect(log().length).toBe(18);
    const resumed = record("slow").arms;
    await guerdon([...words, "--force"], root);
    expect(record("slow").arms).toEqual(resumed);
  });

  test("seeds for developing do not count: nothing is recorded, and a failure is no finding", async () => {
    const file = write("early", { below: 0.5 });
    const quick = await guerdon(["reproduce", file, "--quick"], root);
    expect(quick.status, quick.said).toBe(0);
    expect(quick.out).toContain("does not count");
    expect(quick.said).toContain("it does not count, and nothing was written");
    expect(new Set(log().map((line) => Number(line.split(" ")[1])))).toEqual(new Set([0, 1, 2, 3]));
    const few = await guerdon(["reproduce", file, "--seeds", "1000-1001", "--json"], root);
    expect(few.status).toBe(0);
    expect(JSON.parse(few.out)).toMatchObject({ claims: [{ counts: false, record: { holds: false } }] });
    expect(existsSync(join(root, "results"))).toBe(false);
    // An interval that reaches the threshold is nothing against the claim.
    const open = await guerdon(["reproduce", write("undecided", { below: 1.05 }), "--quick"], root);
    expect(open.said).toContain("? open  undecided");
    expect(open.out).toContain("mechanism, open: Few steps.");
  });

  test("the example of docs/papers.md", async () => {
    const { status, out, said } = await guerdon(
      ["reproduce", join(source, "../examples/leave-one-out.ts"), "--seeds", "0-19", "--json"],
      root,
    );
    expect(status, said).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ claims: [{ slug: "leave-one-out", counts: false, record: { holds: true } }] });
  });

  test("what cannot be asked for is bad usage", async () => {
    const unknown = await guerdon(["reproduce", "canom"], root);
    expect(unknown.status).toBe(2);
    expect(unknown.said).toContain("there is no paper canom. Did you mean canon?");
    const seeds = await guerdon(["reproduce", "canon", "--seeds", "9-3"], root);
    expect(seeds.status).toBe(2);
    expect(seeds.said).toContain("at least one seed");
    const many = await guerdon(["reproduce", "canon", "--seeds", "0-99999999"], root);
    expect(many.status).toBe(2);
    expect(many.said).toContain("at most 10000 seeds");
    writeFileSync(join(root, "formless.ts"), "export const paper = { slug: 'formless' };");
    const formless = await guerdon(["reproduce", "./formless.ts"], root);
    expect(formless.status).toBe(2);
    expect(formless.said).toContain("the paper formless: it has no title");
  });
});

describe("papers", () => {
  test("lists, searches and shows", async () => {
    const all = await guerdon(["papers"], root);
    expect(all.status, all.said).toBe(0);
    expect(all.out).toMatch(/^paper +title +family +claim +held$/m);
    const one = await guerdon(["papers", "conditional", "ADVANTAGE"], root);
    expect(one.out).toContain("canon  Conditional Advantage Estimation");
    expect(one.out).toContain("Not recorded yet in the folder of --results: ");
    const { out: help } = await guerdon(["papers", "--help"], root);
    const searches = [...help.matchAll(/^  \$ \S+ papers (\w+)$/gm)].map((match) => match[1]!);
    expect(searches.length).toBeGreaterThan(1);
    for (const word of searches) expect((await guerdon(["papers", word], root)).out).not.toBe("");
    const none = await guerdon(["papers", "canom", "--json"], root);
    expect(none.status).toBe(0);
    expect(JSON.parse(none.out)).toEqual({ papers: [] });
    expect(none.said).toContain("Did you mean canon?");
  });
});
