/** Runs every file of examples/ as a user would, each in an empty folder, and fails with its output when one does not end well. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const folder = resolve(import.meta.dirname, "../examples");
/** Against hanging: the slowest takes seconds. */
const limitMs = 600_000;
let failed = 0;
for (const name of readdirSync(folder)
  .filter((file) => file.endsWith(".ts"))
  .toSorted()) {
  const cwd = mkdtempSync(join(tmpdir(), "guerdon-example-"));
  const start = performance.now();
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ["--conditions=guerdon-source", join(folder, name)], {
    cwd,
    encoding: "utf8",
    timeout: limitMs,
  });
  rmSync(cwd, { recursive: true, force: true });
  const fine = status === 0;
  console.log(`${fine ? "ok" : "FAILED"} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  if (!fine) {
    failed++;
    console.log(`${stdout}\n${stderr}\n(exit ${status ?? signal})`);
  }
}
process.exitCode = failed > 0 ? 1 : 0;
