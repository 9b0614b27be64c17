import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tinyTrain } from "./tiny-train.ts";

// Trains in a folder and kills itself at the given call, counted from 0, of a function that changes the disk; a write is cut in half first.
const [directory, at] = process.argv.slice(2);
let calls = 0;
const { writeSync, fsyncSync, renameSync, rmSync } = fs;
const due = (): boolean => calls++ === Number(at);
const die = (): void => void process.kill(process.pid, "SIGKILL");
Object.assign(fs, {
  writeSync(descriptor: number, bytes: Uint8Array, offset: number) {
    if (due()) {
      writeSync(descriptor, bytes, offset, (bytes.length - offset) >> 1);
      die();
    }
    return writeSync(descriptor, bytes, offset);
  },
  fsyncSync(descriptor: number) {
    if (due()) die();
    fsyncSync(descriptor);
  },
  renameSync(from: string, to: string) {
    if (due()) die();
    renameSync(from, to);
  },
  rmSync(path: string, options: fs.RmOptions) {
    if (due()) die();
    rmSync(path, options);
  },
});
syncBuiltinESMExports();
await tinyTrain(directory!);
