import { createAdaptorServer } from "@hono/node-server";
import type { Context, Next } from "hono";
import { bodyLimit } from "hono/body-limit";
import { createHash, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import type { Server } from "node:http";
import { isIP, type AddressInfo } from "node:net";
import { GuerdonError } from "../error.ts";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Whether a text is the secret, in a time that says nothing about where they differ. */
export function secretCheck(secret: string): (given: string) => boolean {
  const wanted = digest(secret);
  return (given) => timingSafeEqual(digest(given), wanted);
}

/** The token of `Authorization: Bearer <token>`, empty where there is none. */
export const bearer = (c: Context): string => /^Bearer (.+)$/i.exec(c.req.header("authorization") ?? "")?.[1] ?? "";

/** Bounds bodies: `refuse` is called, and throws, when one has more bytes. */
export function bodyBound(maxBytes: number, refuse: () => never): (c: Context, next: Next) => Promise<void> {
  const watched = bodyLimit({ maxSize: maxBytes, onError: refuse });
  return async (c, next) => {
    // Reading the size from the header is much cheaper than watching the body.
    const length = c.req.header("content-length");
    if (length === undefined) await watched(c, next);
    else if (Number(length) > maxBytes) refuse();
    else await next();
  };
}

/** Whether only this machine reaches an address to listen at. */
export const isLoopback = (host: string): boolean => /^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host);

/**
 * The media type of a header, without its parameters. A page of any site may post `text/plain; json` without asking first, so the word in a
 * parameter says nothing.
 */
const mediaType = (header: string | undefined): string => (header ?? "").split(";")[0]!.trim().toLowerCase();
export const isJson = (header: string | undefined): boolean => /^application\/([\w.+-]+\+)?json$/.test(mediaType(header));
export const isProtobuf = (header: string | undefined): boolean => mediaType(header) === "application/x-protobuf";

export interface Listening {
  readonly url: string;
  readonly port: number;
  /** Takes no further connections; resolves when none is left. */
  end(): Promise<void>;
  /** Cuts the connections that are left. */
  cut(): void;
}

/** Listens for requests. @throws GuerdonError "io" when the port is taken */
export async function listen(fetch: (request: Request) => Response | Promise<Response>, host: string, port: number): Promise<Listening> {
  const server = createAdaptorServer({ fetch, hostname: host }) as Server;
  // Clients keep connections for their next step; the usual five seconds would cut them just before it.
  server.keepAliveTimeout = 75_000;
  try {
    // More callers at once than the usual 511, whose connections would be reset while this process is busy.
    server.listen({ port, host, backlog: 4096 });
    await once(server, "listening");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : null;
    const reason =
      code === "EADDRINUSE"
        ? "the port is taken"
        : code === "EACCES"
          ? "no permission"
          : cause instanceof Error
            ? cause.message
            : String(cause);
    throw new GuerdonError("io", `Cannot listen at ${host}:${port}: ${reason}.`, { cause });
  }
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `http://${isIP(host) === 6 ? `[${host}]` : host}:${bound}`,
    port: bound,
    async end() {
      const closed = once(server, "close");
      server.close();
      await closed;
    },
    cut: () => server.closeAllConnections(),
  };
}

/** Resolves after a while, and keeps no process alive for it. */
export const patience = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());
