export type { RewardServer, ServeOptions } from "./serve.ts";
export { serve } from "./serve.ts";
export type { OfferedReward } from "./wire.ts";
export type { EngineServer, ServeEngineOptions } from "./tinker/serve.ts";
export { serveEngine } from "./tinker/serve.ts";
