#!/usr/bin/env node

// Nothing is imported before this check: an older Node would stop at the first new piece of syntax, with a page about it.
if (Number(process.versions.node.split(".")[0]) < 24) {
  console.error(`guerdon: this is Node ${process.versions.node}, and Guerdon needs Node 24 or newer.`);
  process.exit(2);
}

// `guerdon runs list | head -1`: the reader has seen enough. A run that is left so goes on from its last checkpoint.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
const { run } = await import("./program.ts");
process.exitCode = await run(process.argv.slice(2));

export {};
