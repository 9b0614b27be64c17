import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { guerdon } from "../cli/guerdon.ts";
import { client, temporary } from "./client.ts";

const library = JSON.stringify(resolve(import.meta.dirname, "../../src/index.ts"));
const constant = (value: string): string => `import { reward } from ${library};\nexport default reward("constant", () => ${value});\n`;

function folder(): string {
  const path = temporary();
  writeFileSync(join(path, "package.json"), '{"type":"module"}');
  return path;
}

test("an edit shows in the next scores; a broken one leaves what was there; no request fails meanwhile", async () => {
  const path = join(folder(), "reward.ts");
  writeFileSync(path, constant("1"));
  const said: string[] = [];
  const server = await client({ watch: true, onEvent: (sentence) => said.push(sentence) }, path);
  const value = async (): Promise<number | null> => (await server.score("constant", ["x"]))[0]!.value;
  expect(await value()).toBe(1);
  const before = server.rewards()[0]!.version;
  writeFileSync(path, constant("2"));
  await expect.poll(value).toBe(2);
  expect(server.rewards()[0]!.version).not.toBe(before);

  writeFileSync(path, constant("2)("));
  await expect.poll(() => said.join("\n")).toMatch(/The changed file cannot be used; what was there before goes on\. .*reward\.ts/);
  expect(await value()).toBe(2);
  writeFileSync(path, constant("3"));
  await expect.poll(value).toBe(3);
});

test("a process that is replaced after an unwatched edit is not taken: scores of one server come from one set of rules", async () => {
  const path = join(folder(), "reward.ts");
  const rules = (value: string): string =>
    `import { reward } from ${library};\n` +
    `export default reward("rules", ({ completion }) => (completion === "exit" ? process.exit(3) : ${value}));\n`;
  writeFileSync(path, rules("1"));
  const said: string[] = [];
  const server = await client({ timeoutMs: 5000, processes: 2, onEvent: (sentence) => said.push(sentence) }, path);
  expect((await server.score("rules", ["x"]))[0]!.value).toBe(1);
  await expect.poll(async () => (await server.get("/healthz")).text).toMatch(/"processes":2/);
  writeFileSync(path, rules("2"));
  expect((await server.score("rules", ["exit"]))[0]!.value).toBe(null);
  await expect.poll(() => said.join("\n")).toMatch(/reward\.ts has changed since it was first loaded.*--watch/);
  const scores = await server.score("rules", ["x", "y"]);
  expect(scores.map(({ value }) => value).filter((value) => value !== null && value !== 1)).toEqual([]);
});

test("guerdon serve: says where, scores, and ends in order when it is told to", async () => {
  const here = folder();
  writeFileSync(join(here, "reward.ts"), constant("0.5"));
  let asked: Promise<Response> | null = null;
  const ended = await guerdon(["serve", "./reward.ts", "--port", "0", "--json", "--timeout", "60"], here, (child, said) => {
    const url = /remote_url (\S+)\/get_reward/.exec(said)?.[1];
    if (url === undefined || asked !== null) return;
    asked = fetch(`${url}/get_reward`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query: ["qa"], prompts: ["q"], labels: [null] }),
    });
    void asked.then(() => child.kill("SIGTERM"));
  });
  expect(ended.status).toBe(0);
  expect(JSON.parse(ended.out)).toMatchObject({
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) as string,
    rewards: [{ name: "constant" }],
  });
  expect(await (await asked!).json()).toEqual({ rewards: [0.5], extra_logs: { unscorable: [0] } });
});

test("what is wrong with a command line is one sentence", async () => {
  const here = folder();
  writeFileSync(join(here, "reward.ts"), constant("1"));
  expect(await guerdon(["serve", "./rewrd.ts"], here)).toMatchObject({
    status: 2,
    said: "guerdon: there is no ./rewrd.ts. Did you mean reward.ts?\n",
  });
  expect((await guerdon(["serve", "./reward.ts", "--token-env", "NO_SUCH_TOKEN"], here)).said).toContain(
    "--token-env NO_SUCH_TOKEN: there is no such environment variable",
  );
  expect((await guerdon(["serve", "./reward.ts", "--unscorable", "1"], here)).said).toContain("It must be fail or 0.");
  expect((await guerdon(["shim", "verll"], here)).said).toContain("Did you mean verl?");
});
