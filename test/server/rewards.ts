/** Rewards for the server's tests. */
import { existsSync, writeFileSync } from "node:fs";
import { reward, sum } from "../../src/index.ts";
import { z } from "zod";

const brief = reward("brief", ({ text }) => text.length < 20);
export default brief;

/** The number in the answer, or what the answer asks for. */
export const obedient = reward("obedient", ({ text }) => {
  if (text === "hang") for (;;);
  if (text === "exit") process.exit(3);
  if (text === "throw") throw new Error("as asked");
  if (text === "never") return new Promise<number>(() => undefined);
  if (text === "null") return null;
  if (text === "crash next") {
    setTimeout(() => JSON.parse("{"), 1);
    return 7;
  }
  if (text === "memory") {
    const all: unknown[] = [];
    for (;;) all.push(Array.from({ length: 1e5 }, Math.random));
  }
  const [word, path] = text.split(" ") as [string, string];
  if (word === "wait") return appears(path);
  if (word === "tell") {
    writeFileSync(path, "");
    for (;;);
  }
  return Number(text);
});

/** 1 once a file is there. */
async function appears(path: string): Promise<number> {
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5));
  return 1;
}

/**
 * The number in the answer. After it may stand what happens instead: always ("throw", "never"), or, with a path, the first time only, which
 * leaves a file there ("hang", "exit").
 */
export const unlucky = reward("unlucky", ({ text }) => {
  const [number, fate, path] = text.split(" ") as [string, string?, string?];
  if (fate === "throw") throw new Error("bad luck");
  if (fate === "never") return new Promise<number>(() => undefined);
  if (path !== undefined && !existsSync(path)) {
    writeFileSync(path, "");
    if (fate === "exit") process.exit(1);
    for (;;);
  }
  return fate === "later" ? new Promise<number>((resolve) => setTimeout(() => resolve(Number(number)), 5)) : Number(number);
});

const right = reward("right", { columns: z.object({ reference: z.string() }) }, ({ text, reference }) => text === reference);
export const quality = sum({ right, brief }, { weights: { brief: 0.5 }, missing: "skip" });

export const ranked = reward.group("ranked", (answers) => answers.map(({ text }) => answers.filter((other) => other.text < text).length));

export const sizes = reward.batch("sizes", { size: 1000 }, (answers) => answers.map(() => answers.length));

export const seen = reward("seen", (row) => ({ value: 1, note: JSON.stringify(row) }));
