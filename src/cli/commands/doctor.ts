import { statfsSync } from "node:fs";
import { availableParallelism, freemem, totalmem } from "node:os";
import type { Screen } from "../screen.ts";
import { table } from "../table.ts";

/** "fail": guerdon does not work here; "missing": something optional is not there. */
interface Check {
  readonly name: string;
  readonly state: "ok" | "missing" | "fail";
  readonly found: string;
  readonly advice: string | null;
}

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

function node(): Check {
  const [major] = process.versions.node.split(".").map(Number);
  const ok = major! >= 24;
  return {
    name: "Node",
    state: ok ? "ok" : "fail",
    found: process.versions.node,
    advice: ok ? null : "guerdon needs Node 24 or newer: https://nodejs.org",
  };
}

function threads(): Check {
  const count = availableParallelism();
  const shared = typeof SharedArrayBuffer === "function" && typeof Atomics === "object";
  return {
    name: "threads",
    state: shared ? "ok" : "missing",
    found: `${count} ${count === 1 ? "processor" : "processors"}`,
    advice: shared
      ? count === 1
        ? "Training works on one, at about half the speed of two."
        : null
      : "Shared memory is switched off: arrays run on one thread.",
  };
}

function memory(): Check {
  const free = freemem();
  const enough = free > 2 ** 30;
  return {
    name: "memory",
    state: enough ? "ok" : "missing",
    found: `${gigabytes(free)} free of ${gigabytes(totalmem())}`,
    advice: enough ? null : "The main job needs about 1 GiB.",
  };
}

function disk(): Check {
  const { bavail, bsize } = statfsSync(".");
  const enough = bavail * bsize > 2 ** 28;
  return {
    name: "disk",
    state: enough ? "ok" : "missing",
    found: `${gigabytes(bavail * bsize)} free here`,
    advice: enough ? null : "A run of the main job takes about 20 MB; larger models take more.",
  };
}

/** WebAssembly with 128-bit vectors, which the CPU kernels are compiled to: the smallest module with a vector constant. */
function wasm(): Check {
  const module = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
  const ok = WebAssembly.validate(new Uint8Array(module));
  return {
    name: "WebAssembly vectors",
    state: ok ? "ok" : "fail",
    found: ok ? "yes" : "no",
    advice: ok ? null : "This build of Node lacks WebAssembly SIMD.",
  };
}

async function installed(name: string): Promise<object | null> {
  try {
    return (await import(name)) as object;
  } catch {
    return null; // not installed, or not for this platform: either way it cannot be used
  }
}

async function optional(name: string, use: string): Promise<Check> {
  const there = (await installed(name)) !== null;
  return {
    name,
    state: there ? "ok" : "missing",
    found: there ? "installed" : "not installed",
    advice: there ? null : `${use}: npm install ${name}`,
  };
}

/** The part of the package `webgpu` that is used here. */
interface WebGpu {
  readonly create: (options: readonly string[]) => {
    requestAdapter(): Promise<{ readonly info?: { readonly description?: string; readonly vendor?: string } } | null>;
  };
}

async function webgpu(): Promise<Check> {
  const name = "WebGPU";
  const library = (await installed("webgpu")) as WebGpu | null;
  if (library === null)
    return {
      name,
      state: "missing",
      found: "package webgpu not installed",
      advice: "Optional, to train on a graphics card: npm install webgpu",
    };
  const adapter = await library
    .create([])
    .requestAdapter()
    .catch(() => null);
  return adapter === null
    ? { name, state: "missing", found: "no adapter", advice: "The package is there, but no graphics driver that it can use." }
    : { name, state: "ok", found: adapter.info?.description || adapter.info?.vendor || "an adapter", advice: null };
}

/** `guerdon doctor`: exit status 1 when something necessary is missing. */
export async function doctor(screen: Screen): Promise<number> {
  const checks = [
    node(),
    wasm(),
    threads(),
    memory(),
    disk(),
    await webgpu(),
    await optional("@duckdb/node-api", "Optional, to read and write Parquet files and to score DuckDB queries"),
    await optional("hyparquet", "Optional, to read Parquet files without DuckDB"),
    await optional("@cortex-js/compute-engine", "Optional, for maths answers that need symbols"),
    await optional("quickjs-emscripten", "Optional, to score JavaScript and TypeScript programs"),
    await optional("pyodide", "Optional, to score Python programs"),
    await optional("@yowasp/yosys", "Optional, to score Verilog by proof"),
  ];
  const mark = { ok: "✓", missing: "-", fail: "✗" } as const;
  const advice = checks.flatMap((check) => (check.advice === null ? [] : [`${check.name}: ${check.advice}`]));
  const failed = checks.some((check) => check.state === "fail");
  screen.result(
    [
      table(
        ["", "check", "found"],
        checks.map((check) => [mark[check.state], check.name, check.found]),
      ),
      ...(advice.length > 0 ? ["", ...advice] : []),
    ].join("\n"),
    {
      ok: !failed,
      checks,
    },
  );
  return failed ? 1 : 0;
}
