import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { Message } from "../../src/data/row.ts";
import { readChatTemplate, renderChat, type ChatTemplateOptions } from "../../src/policies/chat-template.ts";
import { readTokenizer } from "../../src/policies/tokenizer-files.ts";

interface Golden {
  readonly templates: Readonly<Record<string, string>>;
  readonly conversations: Readonly<Record<string, readonly Message[]>>;
  readonly cases: readonly {
    readonly template: string;
    readonly conversation: string;
    readonly options: ChatTemplateOptions;
    readonly text?: string;
    readonly error?: string;
  }[];
}
const golden = join(import.meta.dirname, "../golden");
const { templates, conversations, cases } = JSON.parse(await readFile(join(golden, "chat/golden.json"), "utf8")) as Golden;
const folder = await mkdtemp(join(tmpdir(), "guerdon-chat-"));
afterAll(() => rm(folder, { recursive: true }));
const write = (name: string, content: unknown) =>
  writeFile(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
beforeEach(async () => {
  await rm(join(folder, "chat_template.jinja"), { force: true });
  await rm(join(folder, "tokenizer_config.json"), { force: true });
});
const tokens = { bos_token: "<s>", eos_token: { content: "</s>", __type: "AddedToken" } };
const question: Message[] = [{ role: "user", content: "Hi" }];

describe("against transformers", () => {
  test.each(cases.map((one) => [`${one.template}, ${one.conversation}, ${JSON.stringify(one.options)}`.slice(0, 70), one] as const))(
    "%s",
    async (_, one) => {
      await write("tokenizer_config.json", { ...tokens, chat_template: templates[one.template] });
      const rendered = renderChat(folder, conversations[one.conversation]!, one.options);
      if (one.text !== undefined) expect(await rendered).toBe(one.text);
      else await expect(rendered).rejects.toThrow(one.error!);
    },
  );
});

describe("where the template is", () => {
  test("chat_template.jinja comes before tokenizer_config.json", async () => {
    await write("tokenizer_config.json", { ...tokens, chat_template: "config" });
    await write("chat_template.jinja", "{{ bos_token }}file {{ messages[0].content }}");
    expect(await renderChat(folder, question)).toBe("<s>file Hi");
  });
  test("of named ones default is used, and tool_use with tools", async () => {
    await write("tokenizer_config.json", {
      chat_template: [
        { name: "default", template: "plain" },
        { name: "tool_use", template: "tools {{ tools | length }}" },
      ],
    });
    expect(await renderChat(folder, question)).toBe("plain");
    expect(await renderChat(folder, question, { tools: [{}, {}] })).toBe("tools 2");
  });
  test("nowhere", async () => {
    expect(await readChatTemplate(folder)).toBe(null);
    await expect(renderChat(folder, question)).rejects.toThrow(/has no chat template: neither chat_template\.jinja nor/);
  });
  test.each<[string, unknown, RegExp]>([
    ["another type", { chat_template: 4 }, /tokenizer_config\.json: chat_template must be a template, or a list/],
    ["a list of something else", { chat_template: [{ name: "default" }] }, /must be a template, or a list/],
    ["no default", { chat_template: [{ name: "rag", template: "x" }] }, /has the chat templates rag, and none is called "default"/],
    ["a template that is broken", { chat_template: "{% if %}" }, /tokenizer_config\.json: the chat template cannot be read/],
    ["a template that fails", { chat_template: "{{ messages[0].content.nothing() }}" }, /the chat template refuses 1 messages/],
  ])("%s is an error that names the file", async (_, config, message) => {
    await write("tokenizer_config.json", config);
    await expect(renderChat(folder, question)).rejects.toThrow(message);
  });
  test("a template sees the messages and nothing of the process", async () => {
    for (const probe of [
      "process",
      "globalThis",
      "require",
      "messages.constructor",
      "messages[0].__proto__",
      "''.constructor",
      "raise_exception.constructor",
    ]) {
      await write("tokenizer_config.json", { chat_template: `[{{ ${probe} }}]` });
      const seen = await renderChat(folder, question).catch((error: Error) => error.message);
      expect(seen).not.toMatch(/function|native code|\[object process\]/);
    }
  });
});

describe("a tokenizer whose folder has a template", () => {
  test("encodes messages as the rendered text, with the template's own special tokens and no others", async () => {
    await write("tokenizer.json", await readFile(join(golden, "tokenizer/tokenizer.json"), "utf8"));
    await write("tokenizer_config.json", {
      bos_token: "<|begin|>",
      eos_token: "<|end|>",
      chat_template:
        "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
    });
    const tokenizer = await readTokenizer(folder);
    const ids = tokenizer.encodePrompt([{ role: "user", content: "hello" }]);
    expect(tokenizer.decode(ids)).toBe("<|begin|>user: hello<|end|>assistant:");
    expect([...ids]).toEqual([...tokenizer.encode("<|begin|>user: hello<|end|>assistant:")]);
    expect([...ids].filter((id) => id === tokenizer.end)).toHaveLength(1);
    const plain = tokenizer.encodePrompt("hello");
    expect([...plain]).toEqual([...(await readTokenizer(join(golden, "tokenizer"))).encodePrompt("hello")]);
  });
});
