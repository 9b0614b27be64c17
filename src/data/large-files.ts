/** Reading and writing files that are larger than memory: the part of the Host that data sets need. */
export interface LargeFiles {
  /**
   * The bytes of a file as they come, decompressed where the file begins like a gzip or Zstandard file, whatever it is called. `onRead` is
   * told how many bytes of the file itself have been read.
   *
   * @throws GuerdonError "unsupported" for bzip2, xz, zip and 7z files, naming the command that unpacks them; "input" for a damaged one
   */
  readChunks(path: string, onRead?: (bytes: number) => void): AsyncIterable<Uint8Array>;
  /** The bytes from `start` up to `end`, fewer where the file is shorter. */
  readRange(path: string, start: number, end: number): Promise<Uint8Array>;
  /** What inflates to these bytes. */
  decompress(format: "gzip" | "zstd" | "brotli", bytes: Uint8Array): Uint8Array;
  /** Length in bytes and time of the last change in milliseconds; null where there is no such file. */
  stat(path: string): Promise<{ readonly size: number; readonly modified: number } | null>;
  /** Moves a file over another, in one step. */
  rename(from: string, to: string): Promise<void>;
  truncate(path: string, size: number): Promise<void>;
  /** Removes a file; one that is not there is fine. */
  remove(path: string): Promise<void>;
  /** Makes a file with this content, and its missing folders; false where there is one already. */
  writeNew(path: string, content: string): Promise<boolean>;
  /** Waits until the file's contents are on the disk. */
  sync(path: string): Promise<void>;
}
