/** Rewards for the server's tests. */
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
  if (text.startsWith("sleep ")) return new Promise<number>((resolve) => setTimeout(() => resolve(1), Number(text.slice(6))));
  return Number(text);
});

/** As obedient, but now and then it hangs, throws or exits. */
export const chaotic = reward("chaotic", ({ text }) => {
  const luck = Math.random();
  if (luck < 0.006) for (;;);
  if (luck < 0.02) process.exit(1);
  if (luck < 0.05) throw new Error("bad luck");
  if (luck < 0.06) return new Promise<number>(() => undefined);
  return luck < 0.3 ? new Promise<number>((resolve) => setTimeout(() => resolve(Number(text)), 5)) : Number(text);
});

const right = reward("right", { columns: z.object({ reference: z.string() }) }, ({ text, reference }) => text === reference);
export const quality = sum({ right, brief }, { weights: { brief: 0.5 }, missing: "skip" });

export const ranked = reward.group("ranked", (answers) => answers.map(({ text }) => answers.filter((other) => other.text < text).length));

export const sizes = reward.batch("sizes", { size: 1000 }, (answers) => answers.map(() => answers.length));

export const seen = reward("seen", (row) => ({ value: 1, note: JSON.stringify(row) }));
