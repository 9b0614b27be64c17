// Lint rules for the house's own promises: rooms import upwards only, some rooms know no Node, and only arrays/ touches the array library.
import { dirname, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const source = resolve(dirname(fileURLToPath(import.meta.url)), "../../src");

/** In the order in which data flows: a room may import from itself and from those before it; the ways in, at the end, from each other. */
const rooms = [
  "arrays",
  "statistics",
  "data",
  "environments",
  "policies",
  "engines",
  "rollouts",
  "rewards",
  "credit",
  "objectives",
  "curricula",
  "training",
  "search",
  "audits",
  "papers",
  "server",
  "cli",
];
/** Rooms that run unchanged in a browser. */
const nodeFree = new Set(["statistics", "rewards", "credit", "objectives", "search", "audits"]);
/** Names that only arrays/ may use: ownership, tracing and synchronous reads are its business. */
const arraysOnly = new Set(["ref", "jit", "grad", "valueAndGrad", "vjp", "dataSync"]);

/** Place in that order. */
const rank = (room) => (room === "cli" ? rooms.indexOf("server") : rooms.indexOf(room));

/** The room of a file, null for files of src/ itself, undefined outside src/. */
function roomOf(file) {
  const path = relative(source, file);
  if (path.startsWith("..")) return undefined;
  return path.includes(sep) ? path.split(sep)[0] : null;
}

/** Calls check(node, specifier, typeOnly) for every import, static or not. */
const eachImport = (check) => ({
  ImportDeclaration: (node) => check(node, node.source.value, node.importKind === "type"),
  ExportNamedDeclaration: (node) => node.source && check(node, node.source.value, node.exportKind === "type"),
  ExportAllDeclaration: (node) => check(node, node.source.value, node.exportKind === "type"),
  ImportExpression: (node) => typeof node.source.value === "string" && check(node, node.source.value, false),
});

const order = {
  create(context) {
    const here = roomOf(context.filename);
    if (here === undefined || here === null) return {};
    return eachImport((node, specifier, typeOnly) => {
      if (typeOnly || !specifier.startsWith(".")) return;
      const there = roomOf(resolve(dirname(context.filename), specifier));
      if (there && rank(there) > rank(here))
        context.report({
          node,
          message: `${here}/ may not import from ${there}/: imports run upwards in the list of rooms (README.md, How it is built)`,
        });
    });
  },
};

const noNode = {
  create(context) {
    if (!nodeFree.has(roomOf(context.filename))) return {};
    return eachImport((node, specifier, typeOnly) => {
      if (!typeOnly && specifier.startsWith("node:"))
        context.report({ node, message: `this room runs in a browser: reach ${specifier} through the Host interface of data/` });
    });
  },
};

const arrayLibrary = {
  create(context) {
    const here = roomOf(context.filename);
    if (here === undefined || here === "arrays") return {};
    return {
      ...eachImport((node, specifier) => {
        if (specifier.startsWith("@jax-js/"))
          context.report({ node, message: "only arrays/ imports the array library: use what arrays/index.ts exports" });
      }),
      MemberExpression(node) {
        if (!node.computed && arraysOnly.has(node.property.name))
          context.report({
            node: node.property,
            message: `.${node.property.name} belongs to arrays/: an Arr may be used any number of times, and reads are asynchronous`,
          });
      },
    };
  },
};

export default { meta: { name: "rooms" }, rules: { order, "no-node": noNode, "array-library": arrayLibrary } };
