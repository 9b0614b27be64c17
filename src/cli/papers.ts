import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { GuerdonError } from "../error.ts";
import { checkForm } from "../papers/form.ts";
import type { Paper } from "../papers/paper.ts";
import type { Job, Method } from "../training/index.ts";
import { command, inClone } from "./command.ts";
import { loadExport } from "./load-module.ts";
import { completeDigest } from "./source-digest.ts";
import { didYouMean } from "./suggest.ts";

/** A paper and the file that exports it. */
export interface FoundPaper {
  readonly paper: Paper;
  readonly path: string;
}

/** Loaded when it is asked for: every paper's parts come with it. */
const catalogue = async (): Promise<readonly Paper[]> => (await import("../papers/catalogue.ts")).papers;

const isFile = (name: string): boolean => /\.[cm]?[jt]s$/.test(name);

/**
 * A paper by its slug, or from a file of one's own that exports `paper`.
 *
 * @throws GuerdonError "usage" for an unknown slug, "input" for a file that holds no paper in its right form
 */
export async function findPaper(name: string): Promise<FoundPaper> {
  if (isFile(name)) {
    const paper = await loadExport(name, "paper");
    checkForm(paper, basename(name).replace(/\.[cm]?[jt]s$/, ""));
    return { paper, path: resolve(name) };
  }
  const papers = await catalogue();
  const paper = papers.find(({ slug }) => slug === name);
  if (paper === undefined)
    throw new GuerdonError(
      "usage",
      `there is no paper ${name}.${didYouMean(
        name,
        papers.map(({ slug }) => slug),
      )} See \`${command} papers\`; a paper of your own is a file that ends in .ts`,
    );
  checkForm(paper, name);
  return { paper, path: catalogueFile(name) };
}

/** Where a paper of the catalogue lies. */
export const catalogueFile = (slug: string): string =>
  fileURLToPath(new URL(`../papers/${slug}.${inClone ? "ts" : "js"}`, import.meta.url));

/** Names by which a paper of the catalogue can be asked for. */
export const slugs = async (): Promise<readonly string[]> => (await catalogue()).map(({ slug }) => slug);

/** As modules are imported. */
export const fileUrl = ({ path }: FoundPaper): string => pathToFileURL(path).href;

/**
 * A digest of every source file that a paper is made of, and of the versions of the packages that these import.
 *
 * @throws GuerdonError "internal" when a paper of the catalogue is not in the file of its name
 */
export function inputsOf({ paper, path }: FoundPaper): string {
  if (!existsSync(path)) throw new GuerdonError("internal", `the paper ${paper.slug} is not in a file of that name`);
  return completeDigest(path);
}

/** Slugs of the papers whose methods train language models. */
export const methodNames = async (): Promise<readonly string[]> =>
  (await catalogue()).filter(({ method }) => method !== undefined).map(({ slug }) => slug);

/**
 * A paper's method as a job trains with it; null where there is no such paper.
 *
 * @throws GuerdonError "usage" for a paper whose method is not one that trains
 */
export async function paperMethod(slug: string, { environment }: Job): Promise<Method | null> {
  const paper = (await catalogue()).find((one) => one.slug === slug);
  if (paper === undefined) return null;
  if (paper.method === undefined)
    throw new GuerdonError(
      "usage",
      `what ${slug} brings does not train by itself: it is a reward, a way to fit one or to search, for a configuration file or a program of yours. See \`${command} papers ${slug}\``,
    );
  return paper.method({ environment });
}
