import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { GuerdonError } from "../../error.ts";
import type { Projection } from "../../policies/transformer-config.ts";
import { diskFiles } from "../../training/runs/files.ts";
import { lock } from "../../training/runs/lock.ts";
import { Refused } from "./refused.ts";

/*
 * What outlives the server, in its data folder:
 *   lock.json                                         the server that works on it now
 *   base.json                                         which model all of this belongs to
 *   sessions/<session>.json                           sessions
 *   models/<model>/model.json                         what a model is, and the last state that was saved of it
 *   models/<model>/weights/<name>/                    adapter (peft), optimizer
 *   models/<model>/sampler_weights/<name>/            adapter (peft)
 *   models/<model>/<kind>/<name>/expires.json         when the checkpoint is deleted, if ever
 * Names come from whoever sends requests: no path is made of one that has not been matched against these patterns.
 */

const sessionPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const modelPattern = /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}):train:(0|[1-9]\d{0,8})$/;
const namePattern = /^[A-Za-z0-9_-]{1,255}$/;
const kinds = ["weights", "sampler_weights"] as const;
export type Kind = (typeof kinds)[number];

/** A checkpoint's address: `tinker://<model>/<kind>/<name>`. */
export interface Address {
  readonly model: string;
  readonly kind: Kind;
  readonly name: string;
}

export const addressText = ({ model, kind, name }: Address): string => `tinker://${model}/${kind}/${name}`;

/** @throws Refused 400 for anything but the address of a checkpoint */
export function addressFrom(text: string): Address {
  const match = /^tinker:\/\/([^/]+)\/(weights|sampler_weights)\/([^/]+)$/.exec(text);
  const [, model = "", kind, name = ""] = match ?? [];
  if (!match || !modelPattern.test(model) || !namePattern.test(name))
    throw new Refused(400, "A checkpoint is given as tinker://<model>/weights/<name> or tinker://<model>/sampler_weights/<name>.");
  return { model, kind: kind as Kind, name };
}

export const newSession = (): string => randomUUID();
/** The model's id follows from its session and number there: clients rely on it. */
export const modelIdOf = (session: string, number: number): string => `${session}:train:${number}`;

const version = 1;
const baseRecord = z.object({
  format: z.literal("guerdon engine data"),
  version: z.literal(version),
  fingerprint: z.string(),
  name: z.string(),
});
const samplerRecord = z.object({ base: z.literal(true) }).or(z.object({ path: z.string() }));
const sessionRecord = z.object({
  format: z.literal("guerdon session"),
  version: z.literal(version),
  id: z.string().regex(sessionPattern),
  created: z.string(),
  /** Sampling sessions by their number, but for those on weights in memory. */
  samplers: z.array(z.tuple([z.int(), samplerRecord])),
});
export type SessionRecord = z.output<typeof sessionRecord>;
export type SamplerRecord = z.output<typeof samplerRecord>;

const modelRecord = z.object({
  format: z.literal("guerdon model"),
  version: z.literal(version),
  id: z.string().regex(modelPattern),
  created: z.string(),
  /** Of the request that made it: the same one again gives the same model. */
  digest: z.string(),
  adapter: z.object({ rank: z.int(), seed: z.int(), targets: z.array(z.custom<Projection>((value) => typeof value === "string")) }),
  /** The checkpoint that it began as, or null for a fresh adapter. */
  origin: z.object({ path: z.string(), optimizer: z.boolean() }).nullable(),
  /** The last training state saved, and the number of the request that follows it; null where requests had no numbers, or a gradient waited. */
  saved: z.object({ name: z.string().regex(namePattern), next: z.int().nullable() }).nullable(),
  /** It was unloaded, or its session went stale. */
  ended: z.string().nullable(),
});
export type ModelRecord = z.output<typeof modelRecord>;

const expiryRecord = z.object({
  format: z.literal("guerdon expiry"),
  version: z.literal(version),
  expires: z.iso.datetime(),
});

export interface Checkpoint {
  readonly address: Address;
  readonly time: Date;
  /** When it is deleted; null: when somebody asks for it. */
  readonly expires: Date | null;
}

export interface Store {
  /** Says whose checkpoints these are. @throws GuerdonError "input" where they are another model's: on this one they would be nonsense */
  claim(fingerprint: string, name: string): Promise<void>;
  readonly sessions: readonly SessionRecord[];
  readonly models: readonly ModelRecord[];
  putSession(record: Omit<SessionRecord, "format" | "version">): Promise<void>;
  removeSession(id: string): Promise<void>;
  putModel(record: Omit<ModelRecord, "format" | "version">): Promise<void>;
  /** Folder of a checkpoint, there or not. */
  folder(address: Address): string;
  has(address: Address): Promise<boolean>;
  list(model: string): Promise<readonly Checkpoint[]>;
  remove(address: Address): Promise<void>;
  /** Says when a checkpoint is to be deleted; null: not by itself. */
  expire(address: Address, at: Date | null): Promise<void>;
  /** Checkpoints whose time is over. */
  expired(): readonly Address[];
  /** Gives the folder to whichever server comes next. */
  close(): void;
}

/**
 * Opens the data folder for this process alone; it is made if need be.
 *
 * @throws GuerdonError "io" when it cannot be used, or another server that runs works on it; "input" when something else is in it
 */
export async function openStore(root: string): Promise<Store> {
  diskFiles.makeFolder(root);
  const unlock = lock(diskFiles, root);
  try {
    return await opened(root, unlock);
  } catch (cause) {
    unlock();
    throw cause;
  }
}

async function opened(root: string, unlock: () => void): Promise<Store> {
  const sessions = join(root, "sessions");
  const models = join(root, "models");
  const folderOf = (model: string): string => join(models, model.replaceAll(":", "."));
  const folder = (address: Address): string => join(folderOf(address.model), address.kind, address.name);
  diskFiles.makeFolder(sessions);
  diskFiles.makeFolder(models);

  /** By the checkpoint's address as text. */
  const expiries = new Map<string, Date>();
  const expiryFile = (address: Address): string => join(folder(address), "expires.json");

  const inside = (model: string, kind: Kind): Promise<readonly string[]> => readdir(join(folderOf(model), kind)).catch(() => []);
  const checkpoints = async (model: string): Promise<Omit<Checkpoint, "time">[]> => {
    const all: Omit<Checkpoint, "time">[] = [];
    for (const kind of kinds)
      for (const name of await inside(model, kind)) {
        const address = { model, kind, name };
        if (namePattern.test(name)) all.push({ address, expires: expiries.get(addressText(address)) ?? null });
      }
    return all;
  };

  const found = async <T>(files: readonly string[], schema: z.ZodType<T>): Promise<T[]> => {
    const records: T[] = [];
    for (const file of files) {
      const text = await readFile(file, "utf8").catch(() => null);
      if (text === null) continue;
      const read = schema.safeParse(jsonFrom(text));
      if (!read.success)
        throw new GuerdonError("input", `${file} was not written by this version of the server: ${z.prettifyError(read.error)}`);
      records.push(read.data);
    }
    return records;
  };
  const put = async (file: string, record: object): Promise<void> => {
    const partial = `${file}.${randomUUID()}.partial`;
    try {
      await writeFile(partial, `${JSON.stringify(record, null, 2)}\n`, { flush: true });
      await rename(partial, file);
    } catch (cause) {
      await rm(partial, { force: true });
      throw cause;
    }
  };

  const sessionRecords = await found(
    (await readdir(sessions)).filter((name) => name.endsWith(".json")).map((name) => join(sessions, name)),
    sessionRecord,
  );
  const modelRecords = await found(
    (await readdir(models)).map((name) => join(models, name, "model.json")),
    modelRecord,
  );
  for (const { id } of modelRecords) {
    // What a server that was killed had begun to write, or to delete.
    for (const kind of kinds)
      for (const name of await inside(id, kind))
        if (name.endsWith(".partial")) await rm(join(folderOf(id), kind, name), { recursive: true, force: true });
    for (const { address } of await checkpoints(id)) {
      const [expiry] = await found([expiryFile(address)], expiryRecord);
      if (expiry) expiries.set(addressText(address), new Date(expiry.expires));
    }
  }

  return {
    async claim(fingerprint, name) {
      const [before] = await found([join(root, "base.json")], baseRecord);
      if (before && before.fingerprint !== fingerprint)
        throw new GuerdonError(
          "input",
          `${root} holds checkpoints on another model, called ${before.name}, than the one to be served: choose another folder (--data).`,
        );
      if (!before) await put(join(root, "base.json"), { format: "guerdon engine data", version, fingerprint, name });
    },
    sessions: sessionRecords,
    models: modelRecords,
    putSession: (record) => put(join(sessions, `${record.id}.json`), { format: "guerdon session", version, ...record }),
    removeSession: (id) => rm(join(sessions, `${id}.json`), { force: true }),
    async putModel(record) {
      await mkdir(folderOf(record.id), { recursive: true });
      await put(join(folderOf(record.id), "model.json"), { format: "guerdon model", version, ...record });
    },
    folder,
    has: (address) =>
      stat(folder(address)).then(
        (found) => found.isDirectory(),
        () => false,
      ),
    async list(model) {
      const all: Checkpoint[] = [];
      for (const one of await checkpoints(model)) {
        // One that is deleted meanwhile is not told.
        const there = await stat(folder(one.address)).catch(() => null);
        if (there) all.push({ ...one, time: there.mtime });
      }
      return all.sort((a, b) => a.time.getTime() - b.time.getTime());
    },
    async remove(address) {
      // In one step, so that no half of it is taken for a checkpoint.
      const gone = `${folder(address)}.${randomUUID()}.partial`;
      expiries.delete(addressText(address));
      await rename(folder(address), gone);
      await rm(gone, { recursive: true, force: true });
    },
    async expire(address, at) {
      const key = addressText(address);
      if (at === null) {
        if (expiries.delete(key)) await rm(expiryFile(address), { force: true });
        return;
      }
      await put(expiryFile(address), { format: "guerdon expiry", version, expires: at.toISOString() });
      expiries.set(key, at);
    },
    expired: () => [...expiries].filter(([, at]) => at.getTime() <= Date.now()).map(([path]) => addressFrom(path)),
    close: unlock,
  };
}

function jsonFrom(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
