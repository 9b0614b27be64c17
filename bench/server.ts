/**
 * Load on `guerdon serve` with a trivial reward: single rows, and batches of 64, over connections that stay open. Prints requests and scores
 * a second and, where /proc tells them (Linux), the processor seconds that each side used.
 *
 *   node --conditions=guerdon-source bench/server.ts [seconds] [--floors]
 *
 * With --floors the exit status is 1 below 5,000 single rows a second or 100,000 scores a second: load generator and server share the machine.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const seconds = Number(process.argv[2] ?? 5) || 5;
const floors = { single: 5000, batch: 100_000 };

const rewardFile = `import { reward } from "guerdon";
export default reward("brief", ({ text }) => text.length < 400);
`;
const row = (i: number) => ({
  prompt: `What is ${i} x 7?`,
  completion: `${i} sevens are ${i * 7}, so the answer is ${i * 7}.`,
  reference: String(i * 7),
});

/** A request as bytes. */
function request(rows: number): Buffer {
  const body = JSON.stringify({ rows: Array.from({ length: rows }, (_, i) => row(i)) });
  return Buffer.from(
    `POST /v1/score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** Keeps `connections` busy, one request at a time each, and counts the answers; every answer must have status 200 and the right size. */
async function load(
  port: number,
  bytes: Buffer,
  rows: number,
  connections: number,
  duration: number,
): Promise<{ answers: number; latencies: number[] }> {
  const latencies: number[] = [];
  const end = performance.now() + duration * 1000;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect(port, "127.0.0.1").setNoDelay(true);
      await new Promise((done) => socket.once("connect", done));
      await new Promise<void>((done, fail) => {
        let sent = 0;
        let text = "";
        const send = (): void => {
          sent = performance.now();
          socket.write(bytes);
        };
        socket.on("error", fail);
        socket.on("data", (data) => {
          text += data.toString("latin1");
          const head = text.indexOf("\r\n\r\n");
          if (head < 0) return;
          const length = Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1]);
          if (text.length < head + 4 + length) return;
          if (!text.startsWith("HTTP/1.1 200") || text.split('"value":').length !== rows + 1) return fail(new Error(text));
          latencies.push(performance.now() - sent);
          text = "";
          if (performance.now() < end) send();
          else done();
        });
        send();
      });
      socket.destroy();
    }),
  );
  return { answers: latencies.length, latencies };
}

/** Processor seconds of a process so far; null where /proc is not. */
function cpu(pid: number): number | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return null;
  }
}
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

const folder = mkdtempSync(join(tmpdir(), "guerdon-bench-"));
const file = join(folder, "reward.ts");
writeFileSync(join(folder, "package.json"), '{"type":"module"}');
writeFileSync(file, rewardFile.replace('"guerdon"', JSON.stringify(join(root, "src/index.ts"))));
const server = spawn(
  process.execPath,
  [
    "--conditions=guerdon-source",
    "-e",
    `import { serve } from ${JSON.stringify(join(root, "src/server/index.ts"))}; const s = await serve(${JSON.stringify(file)}, { port: 0 }); console.log(s.port);`,
  ],
  { stdio: ["ignore", "pipe", "inherit"] },
);
try {
  const port = Number(String(await new Promise((done) => server.stdout.once("data", done))));
  let isBelow = false;
  for (const [name, rows, connections] of [
    ["single", 1, 32],
    ["batch", 64, 8],
  ] as const) {
    const bytes = request(rows);
    await load(port, bytes, rows, connections, 1);
    const processes = [server.pid!, ...childrenOf(server.pid!)];
    const before = processes.map(cpu);
    const own = process.cpuUsage();
    const started = performance.now();
    const { answers, latencies } = await load(port, bytes, rows, connections, seconds);
    const wall = (performance.now() - started) / 1000;
    const used = processes.map((pid, i) => (before[i] === null ? null : (cpu(pid) ?? 0) - before[i]!));
    const { user, system } = process.cpuUsage(own);
    latencies.sort((a, b) => a - b);
    const perSecond = (answers * rows) / wall;
    isBelow ||= perSecond < floors[name];
    console.log(
      JSON.stringify({
        load: name,
        connections,
        requestsPerSecond: Math.round(answers / wall),
        scoresPerSecond: Math.round(perSecond),
        milliseconds: { median: latencies[latencies.length >> 1], p99: latencies[Math.floor(latencies.length * 0.99)] },
        processorSeconds: { server: used[0], reward: used.slice(1), generator: (user + system) / 1e6, wall },
      }),
    );
  }
  if (process.argv.includes("--floors") && isBelow) process.exitCode = 1;
} finally {
  server.kill();
  rmSync(folder, { recursive: true, force: true });
}
