import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const docs = resolve(import.meta.dirname, "../../docs");
const text = readFileSync(join(docs, "follow-a-rollout.md"), "utf8");
const rows = text
  .split("\n")
  .filter((line) => /^\| \d/.test(line))
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .map(([, , file, name, , calls]) => ({
    file: /\((.+)\)/.exec(file!)![1]!,
    name: name!.replaceAll("`", ""),
    calls: [...calls!.matchAll(/`(\w+)`/g)].map((match) => match[1]!),
  }));

test("the way from task to update is at most eight files, each once", () => {
  expect(rows.length).toBeGreaterThan(4);
  expect(rows.length).toBeLessThanOrEqual(8);
  expect(new Set(rows.map(({ file }) => file)).size).toBe(rows.length);
});

test.each(rows)("$file has $name and makes the calls", ({ file, name, calls }) => {
  const source = readFileSync(join(docs, file), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
  expect(source).toMatch(new RegExp(`export (async )?(function\\*?|const) ${name}\\b`));
  // A call, a method that is defined, or a property that is passed on.
  for (const call of calls) expect(source, `${call} in ${file}`).toMatch(new RegExp(`\\b${call}\\s*(<[^>]*>)?\\(|\\b${call}:`));
});

test("every other file that the page names exists", () => {
  for (const [path] of text.matchAll(/src\/[\w/-]+\.ts/g)) expect(() => readFileSync(join(docs, "..", path))).not.toThrow();
});
