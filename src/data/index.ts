export type { Message, Row } from "./row.ts";
export type { Host, Peer, PeerEnd, StartOptions } from "./host.ts";
export { thisHost } from "./host.ts";
export type { JobOptions, JobOutcome, Pool, PoolOptions } from "./pool.ts";
export { pool } from "./pool.ts";
export { answerJobs, listen } from "./peer.ts";
export type { FileRow } from "./jsonl.ts";
export { readRows } from "./jsonl.ts";
export { referenceColumn, referenceColumns } from "./columns.ts";
