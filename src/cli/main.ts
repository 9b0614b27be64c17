#!/usr/bin/env node
import { run } from "./program.ts";

// `guerdon runs list | head -1`: the reader has seen enough. A run that is left so goes on from its last checkpoint.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
process.exitCode = await run(process.argv.slice(2));
