import { expect, test } from "vitest";
import type { Compute } from "../../../src/server/tinker/compute.ts";
import { snapshots } from "../../../src/server/tinker/snapshots.ts";

test("weights whose session ends while they are kept are forgotten", async () => {
  const jobs: string[] = [];
  const done = Promise.withResolvers<null>();
  const run = (name: string): Promise<null> => {
    jobs.push(name);
    return name === "snapshot" ? done.promise : Promise.resolve(null);
  };
  const held = snapshots({ run: run as Compute["run"] }, 8, () => undefined);
  const taken = held.take("a:sample:0", "a", "a:train:0");
  held.endSession("a");
  done.resolve(null);
  await taken;
  expect(jobs).toEqual(["snapshot", "drop"]);
  expect(held.has("a:sample:0")).toBe(false);
});
