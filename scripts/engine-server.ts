import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";

export interface RunningServer {
  readonly url: string;
  /** The name under which it serves the model. */
  readonly model: string;
  stop(): Promise<void>;
}

/**
 * Starts `guerdon serve --engine` in another process on a free port, for benchmarks and checks. It ends with this process at the latest.
 *
 * @param folder the model's
 * @param data where it keeps checkpoints
 */
export async function startEngineServer(folder: string, data: string, options: readonly string[] = []): Promise<RunningServer> {
  const main = resolve(import.meta.dirname, "../src/cli/main.ts");
  const child = spawn(
    process.execPath,
    ["--conditions=guerdon-source", main, "serve", "--engine", folder, "--port", "0", "--data", data, "--json", ...options],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  process.on("exit", () => child.kill("SIGKILL"));
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  };
  let said = "";
  for await (const chunk of child.stdout) {
    said += String(chunk);
    const url = /"url":\s*"([^"]+)"/.exec(said)?.[1];
    const model = /"model":\s*"([^"]+)"/.exec(said)?.[1];
    if (url !== undefined && model !== undefined) return { url, model, stop };
  }
  throw new Error(`The server ended before it was ready: ${said}`);
}
