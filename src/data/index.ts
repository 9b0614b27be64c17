export type { Message, Row } from "./row.ts";
export type { Host, Peer, PeerEnd, StartOptions } from "./host.ts";
export { thisHost } from "./host.ts";
export type { JobOptions, JobOutcome, Pool, PoolOptions } from "./pool.ts";
export { pool } from "./pool.ts";
export { answerJobs, listen } from "./peer.ts";
export type { FileFormat, FileRow, ReadOptions } from "./read.ts";
export { countRows, readRows } from "./read.ts";
export { referenceColumn, referenceColumns } from "./columns.ts";
