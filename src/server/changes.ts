import { watch, type FSWatcher } from "node:fs";
import { dirname } from "node:path";
import { sourceFiles, sourceName } from "../cli/source-digest.ts";

/** Editors write a file in several steps. */
const quietMs = 80;

/**
 * Calls `changed` when a reward's file, a file that it imports by a relative path, or a source or text file beside one of these has changed.
 * Returns the way to end it.
 */
export function onSourceChange(path: string, changed: () => void): () => void {
  // Folders are watched, because editors replace files; not what lies below them, which may be a whole node_modules.
  const watchers = new Map<string, FSWatcher>();
  let timer: NodeJS.Timeout | undefined;
  const watchFolders = (): void => {
    for (const folder of new Set([...sourceFiles(path).keys()].map((file) => dirname(file))))
      if (!watchers.has(folder))
        watchers.set(
          folder,
          watch(folder, (_, name) => {
            if (name !== null && !sourceName.test(name)) return;
            clearTimeout(timer);
            timer = setTimeout(() => {
              try {
                watchFolders();
              } catch {
                // A file went away while it was read: whatever takes its place is another change.
              }
              changed();
            }, quietMs);
          }),
        );
  };
  watchFolders();
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers.values()) watcher.close();
  };
}
