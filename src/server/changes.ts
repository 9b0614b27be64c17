import { watch } from "node:fs";
import { dirname, resolve } from "node:path";

/** Editors write a file in several steps. */
const quietMs = 80;
const sources = /\.(?:[cm]?[jt]sx?|json|txt|md|ya?ml)$/;
const hidden = /(^|[/\\])(node_modules|\.[^/\\]+)[/\\]/;

/** Calls `changed` when a reward's file, or a source or text file in its folder or below, has changed. Returns the way to end it. */
export function onSourceChange(path: string, changed: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const watcher = watch(dirname(resolve(path)), { recursive: true }, (_, name) => {
    if (name !== null && (!sources.test(name) || hidden.test(name))) return;
    clearTimeout(timer);
    timer = setTimeout(changed, quietMs);
  });
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}
