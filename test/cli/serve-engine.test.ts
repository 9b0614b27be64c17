import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyModel } from "../server/tinker/model.ts";
import { serve } from "../../src/cli/commands/serve.ts";
import type { Screen } from "../../src/cli/screen.ts";
import { guerdon } from "./guerdon.ts";

const root = mkdtempSync(join(tmpdir(), "guerdon-cli-serve-"));
let tiny: Awaited<ReturnType<typeof tinyModel>>;
beforeAll(async () => {
  tiny = await tinyModel();
});
afterAll(() => {
  tiny.remove();
  rmSync(root, { recursive: true, force: true });
});

test("serve --engine serves a model until it is stopped, keeps its data where it is told, and says no key", async () => {
  const health: Promise<Response>[] = [];
  let stopped = false;
  process.env["GUERDON_TEST_KEY"] = "tml-never-to-be-seen";
  const ended = await guerdon(
    ["serve", "--engine", tiny.folder, "--port", "0", "--data", "kept", "--name", "small", "--token-env", "GUERDON_TEST_KEY"],
    root,
    (child, said) => {
      const url = /base_url="([^"]+)"/.exec(said)?.[1];
      if (!url || stopped) return;
      stopped = true;
      const headers = { "X-API-Key": "tml-never-to-be-seen" };
      health.push(fetch(`${url}/api/v1/healthz`), fetch(`${url}/api/v1/get_server_capabilities`, { headers }));
      void Promise.allSettled(health).then(() => child.kill("SIGTERM"));
    },
  );
  delete process.env["GUERDON_TEST_KEY"];
  const [alive, offers] = await Promise.all(health);
  expect(alive!.status).toBe(200);
  expect(await offers!.json()).toMatchObject({ supported_models: [{ model_name: "small" }] });
  expect(ended.status).toBe(0);
  expect(ended.out).toMatch(/^http:\/\/127\.0\.0\.1:\d+ trains small$/m);
  expect(ended.out + ended.said).not.toContain("never-to-be-seen");
  expect(existsSync(join(root, "kept", "models"))).toBe(true);
});

const screen = { say: () => undefined, result: () => undefined } as unknown as Screen;

test.each([
  [undefined, {}, /needs a reward .* or a model's folder/],
  ["./r.ts", { engine: "m" }, /needs a reward .* or a model's folder/],
  [undefined, { engine: "m", watch: true }, /--watch goes with a reward/],
  ["./r.ts", { maxModels: 2 }, /--max-models goes with --engine/],
  [undefined, { engine: "nowhere" }, /There is no folder nowhere/],
  [undefined, { engine: ".", host: "0.0.0.0" }, /give a key/],
  [undefined, { engine: ".", tokenEnv: "GUERDON_NOT_SET" }, /no such environment variable/],
])("serve %s %o is refused", async (reward, command, message) => {
  await expect(serve(screen, reward, command)).rejects.toThrow(message);
});
