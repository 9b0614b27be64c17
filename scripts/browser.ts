/**
 * The rooms that promise to run in a browser, held to it: the same work (browser/work.ts) runs in Node and in a browser, and the two must
 * return the same JSON; a tiny model is trained in the page as well. Needs Chromium (GUERDON_CHROMIUM, or one on PATH); without it the
 * bundle is still built for the browser, which fails on any Node built-in, and the gate says what it could not do.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { chromium } from "playwright-core";
import { build } from "vite";
import { train, work } from "./browser/work.ts";

const root = resolve(import.meta.dirname, "..");
/** Against hanging; a busy machine may take its time. */
const limitMs = 600_000;

/** JSON with numbers of twelve digits: V8's own exponential differs in the last bit from one version to the next. */
const comparable = (value: unknown): string =>
  JSON.stringify(value, (_, item: unknown) => (typeof item === "number" ? Number(item.toPrecision(12)) : item));

function findChromium(): string | undefined {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const paths = (process.env["PATH"] ?? "").split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)));
  const named = process.env["GUERDON_CHROMIUM"];
  // One that was named must work; of those that happen to be there some only say what to install.
  if (named) return named;
  return [...paths, "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"].find(
    (path) => spawnSync(path, ["--version"], { stdio: "ignore", timeout: limitMs }).status === 0,
  );
}

/** Files for Node alone are reached by a guarded dynamic import; what a page loads at once must not have them. */
const nodeStaysOutside = {
  name: "node-built-ins-stay-outside",
  enforce: "pre",
  resolveId: (id: string) => (id.startsWith("node:") ? { id, external: true } : null),
} as const;

async function bundle(outDir: string): Promise<void> {
  await build({
    root,
    logLevel: "error",
    configFile: false,
    resolve: { conditions: ["guerdon-source"] },
    build: {
      outDir,
      target: "es2023",
      minify: false,
      lib: { entry: join(root, "scripts/browser/work.ts"), formats: ["es"], fileName: "work" },
    },
    plugins: [nodeStaysOutside],
    worker: { format: "es", plugins: () => [nodeStaysOutside] },
  });
  const entry = readFileSync(join(outDir, "work.js"), "utf8");
  const found = entry.match(/^import .*["']node:.*$/m);
  if (found) throw new Error(`the browser bundle loads a Node built-in at once: ${found[0]}`);
}

async function inBrowser(executablePath: string, folder: string): Promise<{ work: unknown; train: unknown }> {
  const server = createServer((request, response) => {
    const name = (request.url ?? "/").slice(1);
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    if (name === "") return void response.setHeader("content-type", "text/html").end("<!doctype html><title>guerdon</title>");
    if (!/^(?:assets\/)?[\w.-]+\.js$/.test(name)) return void response.writeHead(404).end();
    response.setHeader("content-type", "text/javascript").end(readFileSync(join(folder, name)));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const args = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ];
  const browser = await chromium.launch({ executablePath, args, timeout: limitMs });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(limitMs);
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    return await page.evaluate(async () => {
      const module = (await import("/work.js" as string)) as typeof import("./browser/work.ts");
      return { work: await module.work(), train: await module.train() };
    });
  } finally {
    await browser.close();
    server.close();
  }
}

const folder = mkdtempSync(join(tmpdir(), "guerdon-browser-"));
try {
  await bundle(folder);
  const here = await work();
  const trained = await train();
  const executable = findChromium();
  if (!executable) {
    console.log(
      "no Chromium on this machine: the bundle was built and checked, and nothing ran in a page (set GUERDON_CHROMIUM to a Chrome or Chromium)",
    );
  } else {
    const there = await inBrowser(executable, folder);
    const same = comparable(there.work) === comparable(here);
    console.log(`rewards, credit, objectives and statistics: ${same ? "the same JSON in Node and in the page" : "DIFFERENT in the page"}`);
    if (!same) console.log(`Node: ${comparable(here)}\npage: ${comparable(there.work)}`);
    const learnt = comparable(there.train) === comparable(trained);
    console.log(`a model trained in the page: ${learnt ? "the same losses and the same answer" : "DIFFERENT"}: ${comparable(there.train)}`);
    if (!learnt) console.log(`Node: ${comparable(trained)}`);
    if (!same || !learnt) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
