/**
 * The lines of a UTF-8 byte stream, without their ends (LF or CRLF) and without a byte-order mark. A last line without an end counts; a
 * last end starts no further line. Lines may be cut anywhere across chunks, also inside a character.
 *
 * @throws TypeError for bytes that are not UTF-8
 */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  for await (const lines of lineLots(chunks)) yield* lines;
}

/** As `splitLines`, all lines that a chunk completes at a time. */
export async function* lineLots(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string[], void, undefined> {
  let rest = "";
  for await (const text of textOf(chunks)) {
    const lines = text.split("\n");
    lines[0] = rest + lines[0]!;
    rest = lines.pop()!;
    yield lines.map(withoutReturn);
  }
  if (rest !== "") yield [withoutReturn(rest)];
}

/** UTF-8 bytes as text, without a byte-order mark. @throws TypeError for bytes that are not UTF-8 */
export async function* textOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const chunk of chunks) yield decoder.decode(chunk, { stream: true });
  yield decoder.decode();
}

const withoutReturn = (line: string): string => (line.endsWith("\r") ? line.slice(0, -1) : line);
