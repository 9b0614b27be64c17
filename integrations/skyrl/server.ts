import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** A SkyRL server on this machine's CPU. */
export interface SkyRL {
  readonly url: string;
  /** Where it keeps checkpoints. */
  readonly checkpoints: string;
  /** How it was started, with paths from here. */
  readonly command: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Until it was ready. */
  readonly seconds: number;
  /** The end of what it printed. */
  lastWords(): string;
  stop(): Promise<void>;
}

/** Starts one on a free port of the loopback, and waits until it is ready; it ends with this process at the latest. */
export async function startSkyRL(project: string, model: string): Promise<SkyRL> {
  const work = mkdtempSync(join(tmpdir(), "guerdon-skyrl-"));
  const checkpoints = join(work, "checkpoints");
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const options = (folder: string, database: string, kept: string, at: string): string[] => {
    const flags = {
      "base-model": folder,
      backend: "jax",
      "backend-config": '{"max_lora_adapters":8,"max_lora_rank":8}',
      "checkpoints-base": kept,
      "database-url": database,
      host: "127.0.0.1",
      port: at,
    };
    const program = ["run", "--frozen", "--extra", "tinker", "--extra", "jax", "-m", "skyrl.tinker.api"];
    return program.concat(...Object.entries(flags).map(([name, value]) => [`--${name}`, value]));
  };
  const began = performance.now();
  // A group of its own, because uv starts the server and the server starts its engine: they are ended together.
  const child = spawn("uv", options(model, `sqlite:///${join(work, "skyrl.db")}`, checkpoints, `${port}`), {
    cwd: project,
    env: { ...process.env, JAX_PLATFORMS: "cpu" },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  const keep = (chunk: Buffer): void => {
    printed = (printed + chunk.toString()).slice(-4000);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  child.on("error", (cause) => keep(Buffer.from(String(cause))));
  const end = (signal: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch (cause) {
      // Nobody left in the group: it has ended.
      if (!(cause instanceof Error && "code" in cause && cause.code === "ESRCH")) throw cause;
    }
  };
  const atExit = (): void => end("SIGKILL");
  process.on("exit", atExit);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
  const stop = async (): Promise<void> => {
    const ended = child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : once(child, "exit");
    end("SIGTERM");
    await Promise.race([ended, pause(15_000, undefined, { ref: false })]);
    end("SIGKILL");
    process.off("exit", atExit);
    rmSync(work, { recursive: true, force: true });
  };

  const healthy = (): Promise<boolean> =>
    fetch(`${url}/api/v1/healthz`, { signal: AbortSignal.timeout(5000) }).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await healthy())) {
    if (child.exitCode !== null || performance.now() - began > 300_000) {
      await stop();
      throw new Error(
        `SkyRL did not become ready within ${((performance.now() - began) / 1000).toFixed(0)} s. Its last words:\n${printed}`,
      );
    }
    await pause(500);
  }
  return {
    url,
    checkpoints,
    command: `JAX_PLATFORMS=cpu uv ${options(".work/tiny", "sqlite:///<folder>/skyrl.db", "<folder>/checkpoints", "<port>").join(" ")}`,
    versions: versions(project),
    seconds: (performance.now() - began) / 1000,
    lastWords: () => printed,
    stop,
  };
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function versions(project: string): Record<string, string> {
  const names = ["skyrl", "jax", "jaxlib", "flax", "optax", "transformers", "tinker"];
  const script = `import importlib.metadata as m, json, platform; print(json.dumps({"python": platform.python_version(), **{n: m.version(n) for n in ${JSON.stringify(names)}}}))`;
  return JSON.parse(execFileSync(join(project, ".venv/bin/python"), ["-c", script], { encoding: "utf8" })) as Record<string, string>;
}
