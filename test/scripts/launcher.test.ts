import { spawn } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

// The launcher against an npm and a node that only write down what they were asked: no network, and every way to fail.
let folder = "";
let clone = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "guerdon launcher "));
  clone = join(folder, "a clone");
  mkdirSync(clone);
  copyFileSync(resolve(import.meta.dirname, "../../guerdon"), join(clone, "guerdon"));
  writeFileSync(join(clone, "package-lock.json"), "1");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const node = (version: number) => `[ "$1" = -p ] && echo ${version} || echo "node ${version}: $@"`;
/** An npm that notes its calls, and installs a Node 24 when that is what it is asked for. */
const npm = `echo "$@" >>"${"$"}{0%/*}/../calls"
mkdir -p node_modules
for word in "$@"; do case "$word" in node-*@*)
  mkdir -p "node_modules/${"$"}{word%@*}/bin"; printf '%s\\n' '#!/bin/sh' '${node(24)}' >"node_modules/${"$"}{word%@*}/bin/node"; chmod +x "node_modules/${"$"}{word%@*}/bin/node" ;;
esac; done`;

/** A command on the launcher's PATH. */
function command(name: string, script: string): void {
  mkdirSync(join(folder, "bin"), { recursive: true });
  writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, "bin", name), 0o755);
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
function launch(path = join(clone, "guerdon"), words: readonly string[] = [], heard?: (stderr: string) => void): Promise<Ended> {
  const child = spawn(path, words, { cwd: tmpdir(), env: { PATH: `${join(folder, "bin")}:/usr/bin:/bin` } });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => (stdout += String(chunk)));
  child.stderr.on("data", (chunk) => {
    stderr += String(chunk);
    heard?.(stderr);
  });
  return new Promise((done, fail) => child.on("error", fail).on("close", (status) => done({ status, stdout, stderr })));
}
const calls = (): string[] => (existsSync(join(folder, "calls")) ? readFileSync(join(folder, "calls"), "utf8").trim().split("\n") : []);

test("an old Node: brings its own, installs once, and is found through a link", async () => {
  command("node", node(18));
  command("npm", npm);
  symlinkSync("a clone/guerdon", join(folder, "link"));
  const { status, stdout, stderr } = await launch(join(folder, "link"), ["runs", "two words"]);
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout: `node 24: --conditions=guerdon-source ${clone}/src/cli/main.ts runs two words\n`,
  });
  expect(stderr).toMatch(/installing Node 24[\d.]+ into \.node\/.*\n.*installing dependencies/);
  expect(calls()).toHaveLength(2);
  expect(existsSync(join(folder, ".node"))).toBe(false);

  expect((await launch()).stderr).toBe("");
  expect(calls()).toHaveLength(2);
  writeFileSync(join(clone, "package-lock.json"), "2");
  expect((await launch()).stderr).toMatch(/^guerdon: installing dependencies\n$/);
  expect(calls()).toHaveLength(3);
});

test("two launches at once install once", async () => {
  command("node", node(24));
  // The first installs until the second has said that it waits.
  const waits = join(folder, "waits");
  command("npm", `${npm}\nuntil [ -e '${waits}' ]; do sleep 0.1; done`);
  const heard = (stderr: string) => {
    if (/waiting for process \d+/.test(stderr)) writeFileSync(waits, "");
  };
  const both = await Promise.all([launch(undefined, [], heard), launch(undefined, [], heard)]);
  expect(both.map(({ status }) => status)).toEqual([0, 0]);
  expect(both.filter(({ stderr }) => /waiting for process \d+/.test(stderr))).toHaveLength(1);
  expect(calls()).toHaveLength(1);
});

test("an installation that did not end well is started afresh", async () => {
  command("node", node(24));
  command("npm", `${npm}\necho half >node_modules/half; kill -9 $PPID; exit 1`);
  expect((await launch()).status).not.toBe(0);
  command("npm", npm);
  const { status, stderr } = await launch();
  expect(status).toBe(0);
  expect(stderr).toMatch(/did not end well: starting afresh/);
  expect(existsSync(join(clone, "node_modules/half"))).toBe(false);
});

test("what cannot be done is one sentence and status 2", async () => {
  const refused = async () => {
    const { status, stdout, stderr } = await launch();
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    return stderr;
  };
  command("node", node(24));
  command("npm", "echo 'npm error: no route' >&2; exit 1");
  expect(await refused()).toMatch(/npm error: no route\nguerdon: the dependencies could not be installed: npm says why above/);
  command("node", node(18));
  expect(await refused()).toMatch(/npm error: no route\nguerdon: Node 24[\d.]+ could not be installed: npm says why above/);
  command("npm", "mkdir -p node_modules");
  expect(await refused()).toMatch(/was installed but does not run on this machine: install Node 24 yourself/);
  command("uname", "echo Plan9");
  expect(await refused()).toBe("guerdon: Node 24 is needed and cannot be installed by itself on Plan9: install it, then run this again\n");
});
