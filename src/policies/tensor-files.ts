import { parseSafetensors } from "../arrays/index.ts";
import { GuerdonError } from "../error.ts";
import type { HostTensor } from "../statistics/snapshot.ts";
import { isRecord, readFields, readOptional } from "./folder.ts";

/** Tensors by name, each with the file that it came from. */
export type TensorsInFiles = Readonly<Record<string, { readonly file: string; readonly tensor: HostTensor }>>;

/**
 * Reads `<stem>.safetensors`, or without it the files that `<stem>.safetensors.index.json` lists (the order in which transformers looks).
 * 16-bit numbers become float32.
 *
 * @throws GuerdonError "input" when neither is there or a file is damaged
 */
export async function readTensors(folder: string, stem: string): Promise<TensorsInFiles> {
  const single = `${stem}.safetensors`;
  const bytes = await readOptional(folder, single);
  if (bytes) return parse(`${folder}/${single}`, bytes);
  const index = await readFields(folder, `${single}.index.json`);
  if (!index)
    throw new GuerdonError(
      "input",
      `${folder} has no ${single} and no ${single}.index.json. Weights in other formats must be saved as safetensors first.`,
    );
  const map = index.all["weight_map"];
  if (!isRecord(map)) throw index.refuse("weight_map", "must be an object of tensor names and files");
  const tensors: Record<string, TensorsInFiles[string]> = {};
  for (const name of new Set(Object.values(map).map(String))) {
    const part = await readOptional(folder, name);
    if (!part) throw index.refuse("weight_map", `names ${name}, which is not in the folder`);
    Object.assign(tensors, parse(`${folder}/${name}`, part));
  }
  return tensors;
}

function parse(file: string, bytes: Uint8Array): TensorsInFiles {
  try {
    return Object.fromEntries(Object.entries(parseSafetensors(bytes).tensors).map(([name, tensor]) => [name, { file, tensor }]));
  } catch (cause) {
    if (!(cause instanceof GuerdonError)) throw cause;
    throw new GuerdonError(cause.code, `${file}: ${cause.message}`, { cause });
  }
}

/**
 * The expected tensors, in the order of `expected`, all checked: none may be missing, have another shape or another kind of number, and
 * none may be left over, because a part of a model that is silently not used is another model.
 *
 * @param expected shape by name
 * @param ignored whether a tensor that is not expected may be left out
 */
export function takeTensors(
  found: TensorsInFiles,
  expected: Readonly<Record<string, readonly number[]>>,
  ignored: (name: string) => boolean,
): Record<string, HostTensor> {
  const files = [...new Set(Object.values(found).map(({ file }) => file))].join(", ");
  const taken: Record<string, HostTensor> = {};
  for (const [name, shape] of Object.entries(expected)) {
    const entry = found[name];
    if (!entry) throw new GuerdonError("input", `${files}: the tensor ${name} of shape [${shape.join(", ")}] is missing.`);
    const { file, tensor } = entry;
    if (tensor.shape.join() !== shape.join())
      throw new GuerdonError(
        "input",
        `${file}: the tensor ${name} has shape [${tensor.shape.join(", ")}]; the config asks for [${shape.join(", ")}].`,
      );
    if (!(tensor.data instanceof Float32Array))
      throw new GuerdonError("input", `${file}: the tensor ${name} holds whole numbers, not floats.`);
    taken[name] = tensor;
  }
  for (const [name, { file, tensor }] of Object.entries(found))
    if (!(name in expected) && !ignored(name))
      throw new GuerdonError(
        "unsupported",
        `${file}: the tensor ${name} of shape [${tensor.shape.join(", ")}] has no place in this model.`,
      );
  return taken;
}
