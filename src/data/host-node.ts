import { GuerdonError } from "../error.ts";
import type { Host } from "./host.ts";
import { splitLines } from "./lines.ts";

/** Node's file system. Its modules are imported here, at run time, so that a browser never sees them. */
export async function nodeHost(): Promise<Host> {
  const files = await import("node:fs/promises");
  const paths = await import("node:path");
  const { hash } = await import("node:crypto");
  const { largeFiles } = await import("./large-files-node.ts");
  const large = largeFiles(failed);
  const { startPeer } = await import("./peers-node.ts");
  const text = (bytes: Uint8Array, path: string): string => {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
      throw notText(path, cause);
    }
  };
  return {
    ...large,
    readBytes: (path) => attempt("read", path, () => files.readFile(path)),
    async readText(path) {
      return text(await attempt("read", path, () => files.readFile(path)), path);
    },
    async *readLines(path) {
      try {
        yield* splitLines(large.readChunks(path));
      } catch (cause) {
        throw cause instanceof TypeError ? notText(path, cause) : failed("read", path, cause);
      }
    },
    writeAtomic: (path, content) =>
      attempt("write", path, async () => {
        await files.mkdir(paths.dirname(path), { recursive: true });
        const draft = `${path}.${process.pid}-${drafts++}.tmp`;
        try {
          await files.writeFile(draft, content, { flush: true });
          await files.rename(draft, path);
        } catch (cause) {
          await files.rm(draft, { force: true });
          throw cause;
        }
      }),
    append: (path, more) => attempt("append to", path, () => files.appendFile(path, more)),
    exists: (path) =>
      files.access(path).then(
        () => true,
        () => false,
      ),
    list: async (path) => (await attempt("list", path, () => files.readdir(path))).sort(),
    digest: async (text) => hash("sha256", text, "base64url").slice(0, 32),
    start: async (module, options) => startPeer(module, options),
    find: async (program) => (await import("./programs-node.ts")).findProgram(program),
    run: async (program, args, options) => (await import("./programs-node.ts")).runProgram(program, args, options),
    async stripTypes(source) {
      return (await import("node:module")).stripTypeScriptTypes(source);
    },
  };
}

let drafts = 0;

async function attempt<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw failed(action, path, cause);
  }
}

const notText = (path: string, cause: unknown): GuerdonError =>
  new GuerdonError("input", `${path} is not UTF-8 text. Convert it to UTF-8 first.`, { cause });

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  EACCES: "no permission",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is a file, not a folder",
  ENOSPC: "the disk is full",
  EROFS: "the file system is read-only",
};

function failed(action: string, path: string, cause: unknown): GuerdonError {
  if (cause instanceof GuerdonError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return new GuerdonError("io", `Cannot ${action} ${path}: ${reasons[code] ?? (cause instanceof Error ? cause.message : String(cause))}.`, {
    cause,
  });
}
