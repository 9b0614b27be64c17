#!/usr/bin/env node
import { run } from "./program.ts";

// `guerdon runs list | head -1`: the reader has seen enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});
process.exitCode = await run(process.argv.slice(2));
