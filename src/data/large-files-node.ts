import { createReadStream } from "node:fs";
import * as files from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream";
import * as zlib from "node:zlib";
import { GuerdonError } from "../error.ts";
import type { LargeFiles } from "./large-files.ts";

/** How compressed files begin. */
const formats: readonly { readonly magic: readonly number[]; readonly name: string; readonly unpack?: string }[] = [
  { magic: [0x1f, 0x8b], name: "gzip" },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], name: "zstd" },
  { magic: [0x42, 0x5a, 0x68], name: "bzip2", unpack: "bunzip2 -k" },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], name: "xz", unpack: "unxz -k" },
  { magic: [0x50, 0x4b, 0x03, 0x04], name: "zip", unpack: "unzip" },
  { magic: [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], name: "7z", unpack: "7z x" },
];

/** @param failed turns what the file system throws into a GuerdonError that names the path */
export function largeFiles(failed: (action: string, path: string, cause: unknown) => GuerdonError): LargeFiles {
  async function attempt<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw failed(action, path, cause);
    }
  }
  async function unpacker(path: string): Promise<NodeJS.ReadWriteStream | null> {
    const head = await readRange(path, 0, 6);
    const format = formats.find(({ magic, name }) => magic.every((byte, i) => head[i] === byte) && (name !== "bzip2" || isDigit(head[3])));
    if (format === undefined) return null;
    if (format.unpack !== undefined)
      throw new GuerdonError(
        "unsupported",
        `${path} is a ${format.name} file, which cannot be read. Unpack it first: ${format.unpack} ${path}`,
      );
    return format.name === "gzip" ? zlib.createGunzip() : zlib.createZstdDecompress();
  }
  const readRange = (path: string, start: number, end: number): Promise<Uint8Array> =>
    attempt("read", path, async () => {
      const file = await files.open(path, "r");
      try {
        const bytes = new Uint8Array(Math.max(0, Math.min(end, (await file.stat()).size) - start));
        let done = 0;
        while (done < bytes.length) {
          const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
          if (bytesRead === 0) return bytes.subarray(0, done);
          done += bytesRead;
        }
        return bytes;
      } finally {
        await file.close();
      }
    });
  return {
    readRange,
    async *readChunks(path, onRead) {
      const unpacking = await unpacker(path);
      const source = createReadStream(path, { highWaterMark: 1 << 18 });
      const output: NodeJS.ReadableStream = unpacking === null ? source : pipeline(source, unpacking, () => undefined);
      try {
        for await (const chunk of output as AsyncIterable<Uint8Array>) {
          onRead?.(source.bytesRead);
          yield chunk;
        }
      } catch (cause) {
        const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
        if (/^(Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(code))
          throw new GuerdonError("input", `${path} is damaged: it cannot be decompressed (${(cause as Error).message}).`, { cause });
        throw failed("read", path, cause);
      } finally {
        source.destroy();
      }
    },
    decompress(format, bytes) {
      if (format === "gzip") return zlib.gunzipSync(bytes);
      return format === "zstd" ? zlib.zstdDecompressSync(bytes) : zlib.brotliDecompressSync(bytes);
    },
    async stat(path) {
      try {
        const { size, mtimeMs } = await files.stat(path);
        return { size, modified: mtimeMs };
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
        throw failed("read", path, cause);
      }
    },
    rename: (from, to) => attempt("write", to, () => files.rename(from, to)),
    truncate: (path, size) => attempt("write", path, () => files.truncate(path, size)),
    remove: (path) => attempt("remove", path, () => files.rm(path, { force: true })),
    async writeNew(path, content) {
      try {
        await files.mkdir(dirname(path), { recursive: true });
        await files.writeFile(path, content, { flag: "wx", flush: true });
        return true;
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
        throw failed("write", path, cause);
      }
    },
    sync: (path) =>
      attempt("write", path, async () => {
        const file = await files.open(path, "r+");
        try {
          await file.sync();
        } finally {
          await file.close();
        }
      }),
  };
}

/** bzip2 files go on with a digit; text that begins with "BZh" does not. */
const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x31 && byte <= 0x39;
