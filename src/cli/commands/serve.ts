import { GuerdonError } from "../../error.ts";
import { serve as start, type ServeOptions } from "../../server/serve.ts";
import { serveEngine } from "../../server/tinker/serve.ts";
import { command as guerdon } from "../command.ts";
import type { Screen } from "../screen.ts";

export interface ServeCommand {
  readonly port?: number;
  readonly host?: string;
  readonly tokenEnv?: string;
  readonly anonymous?: boolean;
  readonly unscorable?: "fail" | 0;
  readonly watch?: boolean;
  readonly timeout?: number;
  readonly processes?: number;
  readonly concurrency?: number;
  readonly memory?: number;
  readonly maxRows?: number;
  readonly maxMegabytes?: number;
  readonly endToken?: readonly string[];
  readonly engine?: string;
  readonly data?: string;
  readonly name?: string;
  readonly threads?: number;
  readonly maxModels?: number;
}

const given = <K extends string, V>(key: K, value: V | undefined) => (value === undefined ? {} : ({ [key]: value } as { [key in K]: V }));

/** Options that go with a reward only, and with an engine only. */
const ofRewards = ["anonymous", "unscorable", "watch", "timeout", "processes", "concurrency", "memory", "maxRows", "endToken"] as const;
const ofEngines = ["data", "name", "threads", "maxModels"] as const;
const flag = (option: string): string => `--${option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** `guerdon serve`: until Ctrl-C or SIGTERM, then what is under way is answered; a second one leaves at once with 130. */
export async function serve(screen: Screen, file: string | undefined, command: ServeCommand): Promise<void> {
  const { engine } = command;
  if ((file === undefined) === (engine === undefined))
    throw new GuerdonError(
      "usage",
      "serve needs a reward (guerdon serve ./reward.ts) or a model's folder (guerdon serve --engine ./model)",
    );
  const alien = (engine === undefined ? ofEngines : ofRewards).find((option) => command[option] !== undefined);
  if (alien !== undefined)
    throw new GuerdonError(
      "usage",
      `${flag(alien)} goes with ${engine === undefined ? "--engine <folder>" : "a reward, not with --engine"}`,
    );
  const token = command.tokenEnv === undefined ? undefined : process.env[command.tokenEnv];
  if (command.tokenEnv !== undefined && (token === undefined || token === ""))
    throw new GuerdonError("usage", `--token-env ${command.tokenEnv}: there is no such environment variable, or it is empty`);
  return file === undefined ? serveModel(screen, engine!, token, command) : serveReward(screen, file, token, command);
}

/** The training protocol, computed by the local engine. */
async function serveModel(screen: Screen, folder: string, key: string | undefined, command: ServeCommand): Promise<void> {
  const server = await serveEngine(folder, {
    ...given("port", command.port),
    ...given("host", command.host),
    ...given("key", key),
    ...given("name", command.name),
    ...given("data", command.data),
    ...given("threads", command.threads),
    ...given("maxModels", command.maxModels),
    ...given("maxBytes", command.maxMegabytes === undefined ? undefined : Math.ceil(command.maxMegabytes * 1e6)),
    onEvent: (sentence) => screen.say(sentence),
  });
  screen.result(`${server.url} trains ${server.model}`, { url: server.url, port: server.port, model: server.model });
  screen.say(`Guerdon     ${guerdon} train <config> --engine tinker --base-url ${server.url} --model ${server.model}`);
  screen.say(`Python SDK  tinker.ServiceClient(base_url="${server.url}", api_key="tml-..."), base_model="${server.model}"`);
  await untilStopped(screen);
  await server.close();
}

async function serveReward(screen: Screen, file: string, token: string | undefined, command: ServeCommand): Promise<void> {
  if (command.watch === true && !/[./\\]/.test(file))
    throw new GuerdonError("usage", `--watch needs a reward of your own: ${guerdon} serve ./reward.ts --watch`);
  const options: ServeOptions = {
    ...given("port", command.port),
    ...given("host", command.host),
    ...given("token", token),
    ...given("anonymous", command.anonymous),
    ...given("unscorable", command.unscorable),
    ...given("watch", command.watch),
    ...given("timeoutMs", command.timeout === undefined ? undefined : Math.ceil(command.timeout * 1000)),
    ...given("processes", command.processes),
    ...given("concurrency", command.concurrency),
    ...given("memoryMiB", command.memory),
    ...given("maxRows", command.maxRows),
    ...given("maxBytes", command.maxMegabytes === undefined ? undefined : Math.ceil(command.maxMegabytes * 1e6)),
    ...given("endTokens", command.endToken),
    onEvent: (sentence) => screen.say(sentence),
  };
  const server = await start(file, options);
  const rewards = server.rewards().map(({ name, version, parts, scope }) => ({ name, version, parts, scope }));
  screen.result(`${server.url} serves ${rewards.map(({ name }) => name).join(", ")}`, { url: server.url, port: server.port, rewards });
  screen.say(`OpenRLHF  --reward.remote_url ${server.url}/get_reward`);
  screen.say(`TRL, verl ${guerdon} shim trl > guerdon_reward.py, or shim verl`);
  screen.say(`Anything  POST ${server.url}/v1/score {"rows":[{"prompt":"...","completion":"..."}]}`);

  await untilStopped(screen);
  await server.close();
}

/** Until Ctrl-C or SIGTERM. */
function untilStopped(screen: Screen): Promise<void> {
  return new Promise<void>((resolve) => {
    let isEnding = false;
    const stop = (): void => {
      if (isEnding) process.exit(130);
      isEnding = true;
      screen.say("Answering what is under way, then ending. Ctrl-C again leaves at once.");
      resolve();
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  });
}
