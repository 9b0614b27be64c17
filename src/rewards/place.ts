const here = pathOf(import.meta.url);
/** The folder that all of this package's modules are in: `src` or `dist`; this very file where a bundler has put everything into one. */
const own = here.includes("/rewards/") ? here.slice(0, here.lastIndexOf("/rewards/") + 1) : here;

/**
 * Where in the user's own code an error was thrown, as `file:line`: the first stack frame outside this package, its dependencies and the
 * runtime. Null when the stack does not say.
 */
export function placeOf(error: unknown): string | null {
  if (!(error instanceof Error) || typeof error.stack !== "string") return null;
  // V8 writes the message before the frames, and a message may quote anything: lines that look like frames, or a very long one.
  const header = `: ${error.message}`;
  const start = error.stack.indexOf(header);
  for (const line of error.stack.slice(start < 0 ? 0 : start + header.length).split("\n")) {
    if (line.length > 2000) continue;
    const frame = /(?:^|[\s(@])((?:file:\/\/|https?:\/\/|\/|[A-Za-z]:[\\/])[^()]*?):(\d+):\d+\)?\s*$/.exec(line);
    if (frame === null) continue;
    const path = pathOf(frame[1]!);
    if (!path.startsWith(own) && !path.includes("/node_modules/")) return `${path}:${frame[2]}`;
  }
  return null;
}

/** A module's address as people write it: without `file://`, with forward slashes. */
function pathOf(url: string): string {
  const path = url.startsWith("file://") ? decodeURIComponent(url.slice("file://".length)) : url;
  return path.replaceAll("\\", "/").replace(/^\/(?=[A-Za-z]:\/)/, "");
}
