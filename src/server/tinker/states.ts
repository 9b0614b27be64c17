import { rename, rm } from "node:fs/promises";
import { formatSafetensors, parseSafetensors } from "../../arrays/index.ts";
import { GuerdonError } from "../../error.ts";
import { readAdapter, writeAdapter } from "../../policies/adapter-files.ts";
import { jsonText, readOptional, requireFields, writeFiles } from "../../policies/folder.ts";
import type { LoraConfig, TransformerConfig } from "../../policies/transformer-config.ts";
import type { TransformerPolicy } from "../../policies/transformer.ts";
import type { HostTensor, Json, Snapshot } from "../../statistics/snapshot.ts";

const version = 1;

/**
 * Writes an adapter as peft reads it, and with it, for training to go on, the optimizer: `optimizer.safetensors` and `state.json`. The folder
 * gets its name, in place of one that has it, when it is whole.
 *
 * @param snapshot of the engine, or null for an adapter that is only sampled from
 */
export async function writeState(
  folder: string,
  policy: TransformerPolicy,
  adapter: Readonly<Record<string, HostTensor>>,
  snapshot: Snapshot | null,
  base: string,
): Promise<void> {
  const partial = `${folder}.partial`;
  try {
    await rm(partial, { recursive: true, force: true });
    await writeAdapter(partial, policy, adapter, base);
    if (snapshot) {
      const moments = Object.fromEntries(Object.entries(snapshot.tensors).filter(([name]) => !name.startsWith("parameters/")));
      await writeFiles(partial, {
        "optimizer.safetensors": formatSafetensors(moments),
        "state.json": jsonText({ format: "guerdon training state", version, engine: { version: snapshot.version, state: snapshot.json } }),
      });
    }
    await rm(folder, { recursive: true, force: true });
    await rename(partial, folder);
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    throw cause;
  }
}

/**
 * Reads an adapter, and with `optimizer` the state to go on from.
 *
 * @throws GuerdonError "input" for a folder without what is asked for
 */
export async function readState(
  folder: string,
  base: TransformerConfig,
  optimizer = false,
): Promise<{ readonly lora: LoraConfig; readonly parameters: Record<string, HostTensor>; readonly optimizerState: Snapshot | null }> {
  const { lora, parameters } = await readAdapter(folder, base);
  if (!optimizer) return { lora, parameters, optimizerState: null };
  const fields = await requireFields(folder, "state.json");
  const bytes = await readOptional(folder, "optimizer.safetensors");
  const engine = fields.all["engine"] as { readonly version?: unknown; readonly state?: Json } | undefined;
  if (fields.number("version") !== version || typeof engine?.version !== "number" || engine.state === undefined || !bytes)
    throw new GuerdonError("input", `${folder} holds no training state of version ${version}.`);
  const tensors = { ...parseSafetensors(bytes).tensors };
  for (const [name, tensor] of Object.entries(parameters)) tensors[`parameters/${name}`] = tensor;
  return { lora, parameters, optimizerState: { version: engine.version, json: engine.state, tensors } };
}
