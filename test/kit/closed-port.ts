import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";

/**
 * A port of 127.0.0.1 at which nobody listens, and nobody else can until it is disposed: a connection of our own leaves from it. A port that
 * was free a moment ago may be another test's by now.
 */
export async function closedPort(): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((socket) => socket.resume());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const held = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(held, "connect");
  return {
    url: `http://127.0.0.1:${held.localPort}`,
    async [Symbol.asyncDispose]() {
      held.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
