import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const main = join(import.meta.dirname, "../../src/cli/main.ts");

export interface Ended {
  readonly status: number | null;
  readonly out: string;
  readonly said: string;
}

/** Runs the command line from source as a process of its own, in a folder. `during` may act on the process, for instance by a signal. */
export async function guerdon(
  words: readonly string[],
  folder: string,
  during?: (child: ReturnType<typeof spawn>, said: string) => void,
): Promise<Ended> {
  const child = spawn(process.execPath, ["--conditions=guerdon-source", main, ...words], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, said] = ["", ""];
  child.stdout.on("data", (data) => (out += String(data)));
  child.stderr.on("data", (data) => {
    said += String(data);
    during?.(child, said);
  });
  const [status] = (await once(child, "close")) as [number | null];
  return { status, out, said };
}
