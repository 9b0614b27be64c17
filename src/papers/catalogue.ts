import { paper as canon } from "./canon.ts";
import { paper as d3s } from "./d3s.ts";
import { paper as ghpo } from "./ghpo.ts";
import { paper as mopps } from "./mopps.ts";
import { paper as inpo } from "./inpo.ts";
import { paper as adpo } from "./adpo.ts";
import { paper as xpo } from "./xpo.ts";
import { paper as rToQstar } from "./r-to-qstar.ts";
import { paper as clipDelta } from "./clip-delta.ts";
import { paper as oreal } from "./oreal.ts";
import { paper as freeProcessRewards } from "./free-process-rewards.ts";
import { paper as generalPreferenceModel } from "./general-preference-model.ts";
import { paper as par } from "./par.ts";
import type { Paper } from "./paper.ts";

/** Every paper whose claim can be run. Commands and pages show them family by family, in this order. */
export const papers: readonly Paper[] = [
  canon,
  d3s,
  mopps,
  ghpo,
  xpo,
  inpo,
  adpo,
  rToQstar,
  clipDelta,
  oreal,
  freeProcessRewards,
  generalPreferenceModel,
  par,
];
