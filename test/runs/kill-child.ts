import { tinyRun } from "./tiny-run.ts";
import { watched } from "./faults.ts";

// Trains in a folder and kills itself at a given change on the disk, half of whose bytes are written: folder, number of the change, steps.
const [directory, at, steps] = process.argv.slice(2);
const files = watched((number, _, half) => {
  if (number !== Number(at)) return;
  half();
  process.kill(process.pid, "SIGKILL");
});
await tinyRun(directory!, { steps: Number(steps), files });
