/**
 * Loaded first into every peer process. A thread of its own looks after the process, because the main thread may be in native code that never
 * yields: it ends the process when its parent has gone or when it holds more memory than it may.
 */
import { Worker } from "node:worker_threads";

/** What a peer process says on its standard error before it ends itself for want of memory. */
const tooMuchMemory = "guerdon: too much memory";

const limitMiB = Number(process.argv[2] ?? Infinity);
const watch = `
const { writeSync } = require("node:fs");
const parent = ${process.ppid};
const limit = ${Number.isFinite(limitMiB) ? limitMiB * 2 ** 20 : "Infinity"};
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
  if (process.memoryUsage.rss() > limit) {
    writeSync(2, "${tooMuchMemory}");
    process.kill(process.pid, "SIGKILL");
  }
}, 100);
`;

// The preload also runs in the threads of this process: there is one guard only.
if (process.env["GUERDON_GUARDED"] === undefined) {
  process.env["GUERDON_GUARDED"] = "1";
  new Worker(watch, { eval: true, execArgv: [], stdout: false, resourceLimits: { maxOldGenerationSizeMb: 16 } }).unref();
}
// Not process.exit(): it waits for threads, and one that compiles WebAssembly at that moment can keep it waiting for ever.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
