import { GuerdonError } from "../../../error.ts";
import type { Score } from "../../grade.ts";
import { reward, type Reward } from "../../reward.ts";
import { answerJson, numbersIn } from "../answer-data.ts";
import { columns, isRecord, type Check } from "../columns.ts";
import {
  boxGIoU,
  boxIoU,
  centreOf,
  detectionPrecision,
  edgeAgreement,
  isBox,
  isPoint,
  odLength,
  pointInBox,
  type Box,
  type LabelledBox,
  type Point,
} from "./boxes.ts";
import { isTimeSpan, timeIoU, type TimeSpan } from "./spans.ts";

/** The last list of `count` numbers in brackets that stands in a text. */
function lastNumbers(text: string, count: number): readonly number[] | null {
  const lists = [...text.matchAll(/[[(<]([^[\]()<>{}]*)[\])>]/g)]
    .map((match) => numbersIn(match[1]!))
    .filter(({ length }) => length === count);
  return lists.at(-1) ?? null;
}

/**
 * The box that an answer gives: in its JSON (a list of four numbers, the first of a list of boxes, or `bbox_2d`, `bbox` or `box` of an
 * object), or else the last four numbers in brackets. Null where there is none or its edges are in the wrong order.
 */
export function boxIn(text: string): Box | null {
  const fromJson = boxOf(answerJson(text)?.value);
  if (fromJson !== null) return fromJson;
  const numbers = lastNumbers(text, 4);
  return isBox(numbers) ? numbers : null;
}

function boxOf(value: unknown): Box | null {
  if (isBox(value)) return value;
  if (Array.isArray(value)) return value.length > 0 && typeof value[0] === "object" ? boxOf(value[0]) : null;
  return isRecord(value) ? boxOf(value["bbox_2d"] ?? value["bbox"] ?? value["box"]) : null;
}

const box: Check<Box> = (cell) =>
  isBox(cell) ? { value: cell } : "must be a box [x1, y1, x2, y2] of finite numbers with x1 <= x2 and y1 <= y2";
const imageSize: Check<readonly [number, number]> = (cell) =>
  isPoint(cell) && cell[0] > 0 && cell[1] > 0 ? { value: cell } : "must be the image's [width, height], both above 0";

export interface WithBox {
  readonly box: Box;
}

/**
 * How well the box in an answer fits the column `box`: intersection over union, from 0 to 1, or its generalised form, from -1 to 1. An
 * answer without a box gets the least value.
 */
export function boxMatch({
  by = "iou",
  name = `box-${by}`,
}: { readonly by?: "iou" | "giou"; readonly name?: string } = {}): Reward<WithBox> {
  return reward(name, { version: `1 ${by}`, columns: columns<WithBox, WithBox>({ box }) }, ({ text, box: gold }): Score => {
    const found = boxIn(text);
    if (found === null) return { value: by === "giou" ? -1 : 0, note: "no box found" };
    return { value: by === "giou" ? boxGIoU(found, gold) : boxIoU(found, gold) };
  });
}

/**
 * A click or a box on a screen, with size: 1 when the box's centre is in the gold box ("hit") + 0.25 IoU + 0.125 agreement of the edges. A hit
 * alone leaves the size of the box free, IoU alone is silent until boxes touch. Columns `box` and `image_size` ([width, height]).
 *
 * @returns a reward from 0 to 1.375 with the parts hit, iou and edges (unweighted)
 * Source: arXiv 2505.15810.
 */
export function screenBox({ name = "screen-box" }: { readonly name?: string } = {}): Reward<
  WithBox & { readonly image_size: readonly [number, number] }
> {
  type Needs = WithBox & { readonly image_size: readonly [number, number] };
  return reward(
    name,
    { columns: columns<Needs, Needs>({ box, image_size: imageSize }) },
    ({ text, box: gold, image_size: size }): Score => {
      const found = boxIn(text);
      if (found === null) return { value: 0, parts: { hit: 0, iou: 0, edges: 0 }, note: "no box found" };
      const parts = { hit: pointInBox(centreOf(found), gold) ? 1 : 0, iou: boxIoU(found, gold), edges: edgeAgreement(found, gold, size) };
      return { value: parts.hit + 0.25 * parts.iou + 0.125 * parts.edges, parts };
    },
  );
}

/** The point that an answer gives: a JSON list of two numbers, or else the last two numbers in brackets. */
export function pointIn(text: string): Point | null {
  const found = answerJson(text)?.value;
  if (isPoint(found)) return found;
  const numbers = lastNumbers(text, 2);
  return isPoint(numbers) ? numbers : null;
}

/** 1 when the point in an answer is in the column `box` or on its edge, else 0. An answer without a point gets 0. */
export function pointMatch({ name = "point-in-box" }: { readonly name?: string } = {}): Reward<WithBox> {
  return reward(name, { columns: columns<WithBox, WithBox>({ box }) }, ({ text, box: gold }): Score => {
    const point = pointIn(text);
    return point === null ? { value: 0, note: "no point found" } : { value: pointInBox(point, gold) ? 1 : 0 };
  });
}

/** The boxes of an answer's JSON list of objects with `label` and `bbox_2d`, `bbox` or `box`; null where there is no such list. */
export function labelledBoxesIn(text: string): LabelledBox[] | null {
  const found = answerJson(text)?.value;
  if (!Array.isArray(found)) return null;
  return found.flatMap((one: unknown) => {
    const inside = boxOf(one);
    // A box that cannot be read is still an emitted one: as a box that meets nothing it costs precision.
    const label = isRecord(one) && typeof one["label"] === "string" ? one["label"] : "";
    return [{ label, box: inside ?? nowhere }];
  });
}
const nowhere: Box = [-1e300, -1e300, -1e300, -1e300];

export interface WithBoxes {
  readonly boxes: readonly LabelledBox[];
}

const labelledBoxes: Check<readonly LabelledBox[]> = (cell) => {
  if (!Array.isArray(cell)) return "must be a list of { label, box }";
  const bad = cell.findIndex((one) => !(isRecord(one) && typeof one["label"] === "string" && isBox(one["box"])));
  return bad < 0 ? { value: cell as readonly LabelledBox[] } : `has no label or no box [x1, y1, x2, y2] in entry ${bad + 1}`;
};

/**
 * How well an answer finds things: average precision at an IoU, times min(1, gold / detected) (`odLength`) unless `length` is false. Column
 * `boxes`: a list of { label, box }. An answer without a JSON list of boxes gets 0.
 *
 * @param options.threshold above 0, at most 1; 0.5 unless said
 * @returns a reward from 0 to 1
 * @throws GuerdonError "usage" for a threshold out of range
 * Source: arXiv 2504.07615.
 */
export function detectionMatch({
  threshold = 0.5,
  length = true,
  name = "detection",
}: { readonly threshold?: number; readonly length?: boolean; readonly name?: string } = {}): Reward<WithBoxes> {
  if (!(threshold > 0 && threshold <= 1))
    throw new GuerdonError("usage", `detectionMatch: threshold must be above 0 and at most 1, not ${threshold}.`);
  const version = `1 ${threshold} ${length}`;
  return reward(name, { version, columns: columns<WithBoxes, WithBoxes>({ boxes: labelledBoxes }) }, ({ text, boxes }): Score => {
    const found = labelledBoxesIn(text);
    if (found === null) return { value: 0, note: "no list of boxes found" };
    return { value: (length ? odLength : detectionPrecision)(found, boxes, threshold), note: `${found.length} boxes for ${boxes.length}` };
  });
}

export interface WithSpan {
  readonly span: TimeSpan;
}

/**
 * How well the span of time in an answer fits the column `span` ([start, end], in the answer's unit): intersection over union, from 0 to 1.
 * The span is a JSON list of two numbers, the last two numbers in brackets, or the last two numbers of the text. Without one it is 0.
 */
export function timeMatch({
  form = "union",
  name = "time-iou",
}: { readonly form?: "union" | "hull"; readonly name?: string } = {}): Reward<WithSpan> {
  const span: Check<TimeSpan> = (cell) => (isTimeSpan(cell) ? { value: cell } : "must be [start, end] of finite numbers with start <= end");
  return reward(name, { version: `1 ${form}`, columns: columns<WithSpan, WithSpan>({ span }) }, ({ text, span: gold }): Score => {
    const found = pointIn(text) ?? numbersIn(text).slice(-2);
    return isTimeSpan(found) ? { value: timeIoU(found, gold, form) } : { value: 0, note: "no span found" };
  });
}
