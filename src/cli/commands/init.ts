import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { GuerdonError } from "../../error.ts";
import { ioError } from "../../training/runs/files.ts";
import { command, inClone, quoted } from "../command.ts";
import type { Screen } from "../screen.ts";
import { templates } from "../templates.ts";

/**
 * Whether Node takes the .ts files in a folder for modules: the nearest package.json decides, and what npm writes by itself says no.
 *
 * @throws GuerdonError "input" when that file is no JSON
 */
function holdsModules(folder: string): boolean {
  const manifest = join(folder, "package.json");
  if (!existsSync(manifest)) return folder !== dirname(folder) && holdsModules(dirname(folder));
  try {
    return (JSON.parse(readFileSync(manifest, "utf8")) as { readonly type?: string } | null)?.type === "module";
  } catch (cause) {
    throw new GuerdonError("input", `${manifest} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** `guerdon init`: writes all files or none; never over a file that is there. */
export async function init(screen: Screen, folder: string): Promise<void> {
  const isSettled = existsSync(join(folder, "package.json")) || holdsModules(resolve(folder));
  const files = { ...templates, ...(!isSettled && { "package.json": '{ "private": true, "type": "module" }\n' }) };
  const paths = Object.keys(files).map((name) => join(folder, name));
  const there = paths.filter((path) => existsSync(path));
  if (there.length > 0)
    throw new GuerdonError(
      "input",
      `${there.join(", ")} ${there.length === 1 ? "exists" : "exist"} already and will not be overwritten: choose another folder`,
    );
  try {
    mkdirSync(folder, { recursive: true });
    // "wx": also not over a file that came into being just now.
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { flag: "wx" });
  } catch (cause) {
    throw ioError("write into", folder, cause);
  }
  const clone = fileURLToPath(new URL("../../..", import.meta.url));
  // In a clone Node finds guerdon's source by this condition, and may be the one that the launcher installed; an installed package needs nothing.
  const own = process.execPath.startsWith(join(clone, ".node")) ? quoted(process.execPath) : "node";
  const node = inClone ? `${own} --conditions=guerdon-source` : "node";
  screen.result(paths.join("\n"), { written: paths });
  screen.say();
  screen.say(`Score ten rows    ${command} score ${join(folder, "rows.jsonl")} --reward ${join(folder, "reward.ts")}#quality`);
  screen.say(`Train on it       ${command} train ${join(folder, "train.config.ts")}`);
  // What the commands load gets the guerdon that runs; Node and editors look for one beside the folder.
  if (inClone && relative(clone, resolve(folder)).startsWith(".."))
    screen.say(`Before the test   npm install --prefix ${folder} ${clone}   (once: the folder is outside of guerdon's own)`);
  screen.say(`Test the reward   ${node} --test ${join(folder, "reward.test.ts")}`);
}
