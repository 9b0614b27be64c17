export type { Message, Row } from "./row.ts";
export type { Host } from "./host.ts";
export { thisHost } from "./host.ts";
export type { FileRow } from "./jsonl.ts";
export { readRows } from "./jsonl.ts";
export { referenceColumn, referenceColumns } from "./columns.ts";
