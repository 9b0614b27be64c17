/** Applies f to the leaves of nested arrays and plain objects; the path names the leaf, as in `parameters["wte"]`. */
export function mapTree<L, M>(
  tree: unknown,
  isLeaf: (x: unknown) => x is L,
  f: (leaf: L, path: string) => M,
  other: (x: unknown, path: string) => never,
  path = "",
): unknown {
  if (isLeaf(tree)) return f(tree, path);
  if (Array.isArray(tree)) return tree.map((x: unknown, i) => mapTree(x, isLeaf, f, other, `${path}[${i}]`));
  if (isRecord(tree))
    // In the order of the names: the order of insertion must not make a new program.
    return Object.fromEntries(
      Object.keys(tree)
        .sort()
        .map((key) => [key, mapTree(tree[key], isLeaf, f, other, path ? `${path}.${key}` : key)]),
    );
  return other(tree, path);
}

function isRecord(x: unknown): x is Record<string, unknown> {
  if (typeof x !== "object" || x === null) return false;
  const prototype: unknown = Object.getPrototypeOf(x);
  return prototype === Object.prototype || prototype === null;
}
