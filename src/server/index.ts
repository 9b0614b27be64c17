export type { RewardServer, ServeOptions } from "./serve.ts";
export { serve } from "./serve.ts";
export type { OfferedReward } from "./wire.ts";
