/** Whether this is a clone, where Node runs the source, and not the installed package. */
export const inClone: boolean = import.meta.url.endsWith(".ts");

/** How to call this program from where the user is: as it was called, where the clone's launcher or npx says so. */
export const command: string = inClone
  ? quoted(process.env["GUERDON_COMMAND"] ?? "./guerdon")
  : process.env["npm_command"] === "exec"
    ? "npx guerdon"
    : "guerdon";

/** A path with spaces as a shell takes it. */
export function quoted(path: string): string {
  return /^[\w./~+@%:=-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

/** A message of a room that does not know how it is called, with \`guerdon ...\` as the user has to type it. */
export const withCommand = (text: string): string => text.replaceAll("`guerdon ", `\`${command} `);
