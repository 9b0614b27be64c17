/** A peer that does what the tests ask of it. */
import { answerJobs } from "../../src/data/peer.ts";

answerJobs(async (job: { do: string; n?: number }) => {
  if (job.do === "echo") return job.n;
  if (job.do === "throw") throw new Error("as asked");
  if (job.do === "exit") process.exit(3);
  if (job.do === "environment") return Object.keys(process.env).filter((name) => !name.startsWith("GUERDON"));
  if (job.do === "grow") {
    const held: Uint8Array[] = [];
    for (;;) held.push(new Uint8Array(2 ** 20).fill(1));
  }
  if (job.do === "parent") {
    const { spawnSync } = await import("node:child_process");
    return spawnSync(process.execPath, ["--version"]).status;
  }
  for (;;); // "hang"
});
