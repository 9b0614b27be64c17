import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTokenizer, transformer, writeModel } from "../../../src/policies/index.ts";

const files = join(import.meta.dirname, "../../golden/tokenizer");

/** The folder of a tiny random Qwen3 model with a vocabulary of 320, for the caller to remove. */
export async function tinyModel({ width = 16, layers = 1, context = 64 } = {}): Promise<{ readonly folder: string; remove(): void }> {
  const root = mkdtempSync(join(tmpdir(), "guerdon-tiny-"));
  const folder = join(root, "tiny");
  const policy = transformer(
    {
      layers,
      width,
      heads: 2,
      hidden: 2 * width,
      vocabulary: 320,
      context,
      norm: "rms",
      positions: "rotary",
      activation: "swiglu",
      tied: true,
      queryKeyNorm: true,
    },
    { tokenizer: await readTokenizer(files) },
  );
  await writeModel(folder, policy, policy.init(7));
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) copyFileSync(join(files, name), join(folder, name));
  policy.dispose();
  return { folder, remove: () => rmSync(root, { recursive: true, force: true }) };
}
