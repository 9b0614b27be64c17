import { expect, test } from "vitest";
import { backward, datum, folder, open } from "./client.ts";
import { tinyModel } from "./model.ts";

// One table of attention over so many positions has 31 GiB: the first thing that is asked for is too much, and nothing is computed.
const tooLong = datum(Array.from({ length: 65_000 }, () => 5));

test("a pass that does not fit into WebAssembly's memory is refused with one sentence, as the client's", async () => {
  const tiny = await tinyModel({ context: 70_000 });
  const data = folder();
  const server = await open(tiny.folder, data.path);
  const model = await server.adapter();
  const refused = await server.run("forward_backward", backward(model, 1, [tooLong]));
  expect(refused.status).toBe(400);
  expect(refused.body).toMatchObject({
    category: "user",
    detail: expect.stringMatching(
      /^There is no room for \d+ rows of 65\d+ positions at once: WebAssembly addresses 4 GiB.*Start again with less/,
    ) as string,
  });
  await server.close();
  for (const one of [tiny, data]) one.remove();
});
