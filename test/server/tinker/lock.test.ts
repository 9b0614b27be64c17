import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { folder, open } from "./client.ts";
import { tinyModel } from "./model.ts";

const main = resolve(import.meta.dirname, "../../../src/cli/main.ts");

test("a data folder has one server at a time; a server that was killed is in nobody's way", async () => {
  const tiny = await tinyModel();
  const data = folder();
  const command = ["--conditions=guerdon-source", main, "serve", "--engine", tiny.folder, "--data", data.path, "--port", "0"];
  const first = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "ignore"] });
  try {
    // It says its address when it serves.
    await Promise.race([
      once(first.stdout, "data"),
      once(first, "exit").then(() => Promise.reject(new Error("The server did not start."))),
    ]);
    await expect(open(tiny.folder, data.path)).rejects.toMatchObject({
      code: "io",
      message: `${data.path} is in use by process ${first.pid}: wait until it is done, or stop it first`,
    });
  } finally {
    first.kill("SIGKILL");
    await once(first, "exit");
  }
  const next = await open(tiny.folder, data.path);
  expect(
    (await next.run("create_model", { session_id: await next.session(), model_seq_id: 0, base_model: "tiny", lora_config: { rank: 2 } }))
      .status,
  ).toBe(200);
  await expect(open(tiny.folder, data.path)).rejects.toThrow(`in use by process ${process.pid}`);
  await next.close();
  // One that could not start holds nothing either.
  const other = await tinyModel({ width: 24 });
  await expect(open(other.folder, data.path)).rejects.toThrow(/another model/);
  await (await open(tiny.folder, data.path)).close();
  for (const one of [tiny, other, data]) one.remove();
});
