/** A box by its edges: left, top, right, bottom, with left <= right and top <= bottom. */
export type Box = readonly [x1: number, y1: number, x2: number, y2: number];
export type Point = readonly [x: number, y: number];

export const isBox = (value: unknown): value is Box =>
  Array.isArray(value) &&
  value.length === 4 &&
  value.every((edge) => Number.isFinite(edge)) &&
  value[0] <= value[2] &&
  value[1] <= value[3];
export const isPoint = (value: unknown): value is Point =>
  Array.isArray(value) && value.length === 2 && value.every((one) => Number.isFinite(one));

export const centreOf = ([x1, y1, x2, y2]: Box): Point => [x1 / 2 + x2 / 2, y1 / 2 + y2 / 2];

/** Whether a point is in a box or on its edge. */
export const pointInBox = ([x, y]: Point, [x1, y1, x2, y2]: Box): boolean => x >= x1 && x <= x2 && y >= y1 && y <= y2;

const areaOf = ([x1, y1, x2, y2]: Box): number => (x2 - x1) * (y2 - y1);

/** Boxes in their common hull's units: what is large or tiny beyond floating point stays comparable. */
function scaled(a: Box, b: Box): { readonly a: Box; readonly b: Box; readonly hull: number } {
  const [left, top] = [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
  const [width, height] = [Math.max(a[2], b[2]) - left, Math.max(a[3], b[3]) - top];
  const [w, h] = [width > 0 ? width : 1, height > 0 ? height : 1];
  const into = ([x1, y1, x2, y2]: Box): Box => [(x1 - left) / w, (y1 - top) / h, (x2 - left) / w, (y2 - top) / h];
  return { a: into(a), b: into(b), hull: width > 0 && height > 0 ? 1 : 0 };
}

function intersectionAndUnion(a: Box, b: Box): { readonly both: number; readonly either: number } {
  const both = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  return { both, either: areaOf(a) + areaOf(b) - both };
}

const sameBox = (a: Box, b: Box): boolean => a.every((edge, i) => edge === b[i]);

/**
 * Intersection over union of two boxes, with continuous areas. 1 for equal boxes, also those without area. Symmetric.
 *
 * @returns a number from 0 to 1
 */
export function boxIoU(left: Box, right: Box): number {
  if (sameBox(left, right)) return 1;
  const { a, b } = scaled(left, right);
  const { both, either } = intersectionAndUnion(a, b);
  return either > 0 ? Math.min(1, both / either) : 0;
}

/**
 * Generalised intersection over union: IoU less the share of the common hull that neither box covers, so that boxes which do not touch
 * are the worse the further they are apart. Symmetric.
 *
 * @returns a number from -1 to 1
 * Source: Rezatofighi et al., arXiv 1902.09630.
 */
export function boxGIoU(left: Box, right: Box): number {
  if (sameBox(left, right)) return 1;
  const { a, b, hull } = scaled(left, right);
  const { both, either } = intersectionAndUnion(a, b);
  // A hull without area (boxes on one line) has nothing that could be covered.
  if (hull === 0) return -1;
  return Math.max(-1, Math.min(1, (either > 0 ? both / either : 0) - (hull - either) / hull));
}

/**
 * How well the edges of two boxes agree: the harmonic mean of 1 - |difference| / width (left, right) or height (top, bottom) of the image.
 * It keeps a box that only has to be hit from growing. 0 when an edge is a whole image away. Symmetric.
 *
 * @param image width and height, above 0
 * @returns a number from 0 to 1
 * Source: arXiv 2505.15810.
 */
export function edgeAgreement(a: Box, b: Box, [width, height]: readonly [number, number]): number {
  const shares = a.map((edge, i) => 1 - Math.abs(edge - b[i]!) / (i % 2 === 0 ? width : height));
  return shares.some((share) => share <= 0) ? 0 : 4 / shares.reduce((total, share) => total + 1 / share, 0);
}

/** A box of a named thing. */
export interface LabelledBox {
  readonly label: string;
  readonly box: Box;
}

/**
 * Average precision of detections without confidence: in the order given, each takes the free gold box of its label with the greatest IoU of
 * at least `threshold`; precision, made monotone, is read at 101 recalls from 0 to 1. Labels are taken together. With no gold boxes it is
 * 1 when nothing is detected, else 0.
 *
 * @param threshold above 0, at most 1; 0.5 unless said
 * @returns a number from 0 to 1
 * Source: COCO's interpolation; greedy matching in emitted order as in arXiv 2504.07615.
 */
export function detectionPrecision(detected: readonly LabelledBox[], gold: readonly LabelledBox[], threshold = 0.5): number {
  if (gold.length === 0) return detected.length === 0 ? 1 : 0;
  const free = new Set(gold);
  let hits = 0;
  const curve = detected.map(({ label, box }, i) => {
    let best: { readonly one: LabelledBox; readonly iou: number } | null = null;
    for (const one of free) {
      const iou = one.label === label ? boxIoU(box, one.box) : 0;
      if (iou >= threshold && iou > (best?.iou ?? 0)) best = { one, iou };
    }
    if (best !== null) {
      free.delete(best.one);
      hits++;
    }
    return { recall: hits / gold.length, precision: hits / (i + 1) };
  });
  for (let i = curve.length - 2; i >= 0; i--)
    curve[i] = { ...curve[i]!, precision: Math.max(curve[i]!.precision, curve[i + 1]!.precision) };
  let total = 0;
  for (let k = 0; k <= 100; k++) total += curve.find(({ recall }) => recall >= k / 100 - 1e-12)?.precision ?? 0;
  return total / 101;
}

/**
 * Average precision times min(1, gold / detected), so that boxes beyond those that exist cost: average precision alone is nearly blind to
 * wrong boxes after the right ones.
 *
 * @returns a number from 0 to 1
 * Source: "odLength", arXiv 2504.07615.
 */
export const odLength = (detected: readonly LabelledBox[], gold: readonly LabelledBox[], threshold = 0.5): number =>
  detectionPrecision(detected, gold, threshold) * (detected.length > gold.length ? gold.length / detected.length : 1);
