/**
 * Checks the package as a user would get it: builds and packs it, installs the tarball into an empty folder with the dependencies' versions of
 * the lockfile, compiles the examples and all declarations there, and holds the installed size and the cold import time to their limits.
 * Prints one JSON line with what it measured.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

const MEGABYTE = 1e6;
const sizeLimit = 14 * MEGABYTE;
/** Processor time on a machine on which a Node without work takes `emptyMs`; slower machines have as much more. */
const importLimitMs = 150;
const emptyMs = 20;

const root = resolve(import.meta.dirname, "..");
const run = (cwd: string, command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

function sizeOf(path: string): number {
  const stat = statSync(path);
  return stat.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0) : stat.size;
}

const readPrompts = `import { shippedPrompt } from "guerdon/rewards";
for (const name of ["rubric", "reference", "pairwise", "listwise"]) await shippedPrompt(name);`;

/** Processor time of a fresh process, the least of several: other work on the machine adds to it, if much less than to time by the clock. */
function coldStartMs(cwd: string, code: string): number {
  const told = `${code}; const { user, system } = process.cpuUsage(); console.log((user + system) / 1000);`;
  return Math.min(...Array.from({ length: 5 }, () => Number(run(cwd, process.execPath, "--input-type=module", "-e", told))));
}

/**
 * The lockfile of a project that has the tarball and nothing else: what is installed is what was tested, whatever was published since, and
 * npm takes it from its cache where it is there.
 */
function lockWith(tarball: string, manifest: object): string {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Readonly<
      Record<string, { readonly dev?: boolean; readonly optional?: boolean; readonly devOptional?: boolean; readonly peer?: boolean }>
    >;
  };
  const needed = Object.entries(packages).filter(
    ([path, { dev, optional, devOptional, peer }]) => path !== "" && !(dev || optional || devOptional || peer),
  );
  return JSON.stringify({
    lockfileVersion: 3,
    requires: true,
    packages: {
      "": { dependencies: { guerdon: `file:${tarball}` } },
      "node_modules/guerdon": { ...manifest, resolved: `file:${tarball}` },
      ...Object.fromEntries(needed),
    },
  });
}

/** The examples and every declaration under the strictest settings, as two kinds of project resolve them; throws with the compiler's words. */
function compile(cwd: string, rooms: readonly string[]): void {
  const examples = readdirSync(join(root, "examples")).filter((name) => name.endsWith(".ts"));
  for (const name of examples) copyFileSync(join(root, "examples", name), join(cwd, name));
  writeFileSync(join(cwd, "rooms.ts"), rooms.map((path, i) => `export * as room${i} from "guerdon${path.slice(1)}";\n`).join(""));
  for (const [module, moduleResolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    const strict = { strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, skipLibCheck: false };
    const compilerOptions = { ...strict, module, moduleResolution, target: "esnext", lib: ["esnext", "dom"], types: [], noEmit: true };
    writeFileSync(join(cwd, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["rooms.ts", ...examples] }));
    const { status, stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", "."], { cwd, encoding: "utf8" });
    if (status !== 0) throw new Error(`a strict project with moduleResolution ${moduleResolution} does not compile:\n${stdout}`);
  }
}

const folder = mkdtempSync(join(tmpdir(), "guerdon-package-"));
try {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { exports: Record<string, unknown> };
  // Builds as well: `prepack`.
  const [packed] = JSON.parse(run(root, "npm", "pack", "--silent", "--json", "--pack-destination", folder)) as { filename: string }[];
  const { messages } = await publint({ pkgDir: root, strict: true });
  const project = { private: true, type: "module", dependencies: { guerdon: `file:${packed!.filename}` } };
  writeFileSync(join(folder, "package.json"), JSON.stringify(project));
  writeFileSync(join(folder, "package-lock.json"), lockWith(packed!.filename, manifest));
  run(folder, "npm", "install", "--silent", "--prefer-offline", "--omit=dev", "--omit=optional", "--omit=peer", "--no-audit", "--no-fund");

  const installed = sizeOf(join(folder, "node_modules"));
  const rooms = Object.keys(manifest.exports).filter((path) => path !== "./package.json");
  for (const path of rooms) run(folder, process.execPath, "--input-type=module", "-e", `await import("guerdon${path.slice(1)}")`);
  // These read files of src/ that are not compiled. The code of src/ is not in the package: dist/ has the same lines without types, with all
  // comments, so that stack traces and "go to definition" end in something that can be read.
  run(folder, process.execPath, "node_modules/guerdon/dist/cli/main.js", "shim", "trl");
  run(folder, process.execPath, "--input-type=module", "-e", readPrompts);
  compile(folder, rooms);
  const empty = coldStartMs(folder, "");
  const importMs = coldStartMs(folder, 'await import("guerdon")') - empty;
  const importMost = importLimitMs * Math.max(1, empty / emptyMs);

  console.log(
    JSON.stringify({
      installedMB: Math.round(installed / 1e4) / 100,
      importMs: Math.round(importMs),
      emptyMs: Math.round(empty),
      entryPoints: rooms.length,
    }),
  );
  const problems = [
    ...messages.map((message) => formatMessage(message, manifest) ?? message.code),
    installed > sizeLimit && `the installed package has ${(installed / MEGABYTE).toFixed(1)} MB; the limit is ${sizeLimit / MEGABYTE} MB`,
    importMs > importMost &&
      `importing "guerdon" takes ${importMs.toFixed(0)} ms of a processor; the limit is ${importMost.toFixed(0)} ms where an empty Node takes ${empty.toFixed(0)} ms`,
  ].filter((problem) => problem !== false);
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
