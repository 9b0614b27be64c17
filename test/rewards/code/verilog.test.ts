import { execFileSync } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { thisHost } from "../../../src/data/index.ts";
import { closeSandboxes, equivalent, score, verilogBench, verilogEquivalent } from "../../../src/rewards/index.ts";
import { moduleNames, refusal } from "../../../src/rewards/verify/code/verilog-text.ts";
import { inTime, withEnough } from "../../kit/crowding.ts";
import { ampleMs } from "./kit.ts";

const adder = "module top(input [3:0] a, input [3:0] b, output [4:0] y); assign y = a + b; endmodule";
const counter =
  "module counter(input clk, input rst, output reg [3:0] q); always @(posedge clk) if (rst) q <= 0; else q <= q + 1; endmodule";
const design = (body: string): string => `module top(input [3:0] a, b, output [4:0] y); ${body} endmodule`;
const clocked = (next: string): string =>
  `module counter(input clk, input rst, output [3:0] q); reg [3:0] r; assign q = r; always @(posedge clk) r <= rst ? 4'd0 : ${next}; endmodule`;

afterAll(() => closeSandboxes());

describe("equivalence", () => {
  it.each([
    ["another way to write it", adder, design("assign y = {1'b0, b} + {1'b0, a};"), "same"],
    [
      "a helper module",
      adder,
      `module half(input x, output z); assign z = x; endmodule\n${design("wire t; half h(a[0], t); assign y = {a[3:1], t} + b;")}`,
      "same",
    ],
    ["a helper named like ours", adder, `module gold(input x, output z); assign z = x; endmodule\n${adder}`, "same"],
    ["another operation", adder, design("assign y = a - b;"), "different"],
    ["a rare difference", adder, design("assign y = (a == 15 && b == 15) ? 0 : a + b;"), "different"],
    ["an unknown output", adder, design("assign y = 5'bx;"), "different"],
    ["a port of another width", adder, "module top(input [3:0] a, b, output [3:0] y); assign y = a + b; endmodule", "different"],
    ["another module name", adder, adder.replace("top", "bottom"), "error"],
    ["no driver", adder, design(""), "error"],
    ["a syntax error", adder, "module top(input", "error"],
    ["registers", counter, clocked("r + 4'd1"), "same"],
    ["registers that differ after ten steps", counter, clocked("r == 9 ? 0 : r + 4'd1"), "different"],
    ["a reference that is broken", "module", adder, "reference"],
    ["a promise to be right", adder, design("assign y = 0; always @* assume(0);"), "forbidden"],
    ["reading a file", adder, design(`reg [3:0] m [0:1]; initial $readmemh("gold.il", m); assign y = m[0];`), "forbidden"],
    ["including the reference", adder, '`include "gold.il"\n', "forbidden"],
  ] as const)("%s: %s", async (_, reference, candidate, kind) => {
    expect((await equivalent(reference, candidate, { timeoutMs: ampleMs })).kind).toBe(kind);
  });

  it("says nothing of what it cannot prove in time", async () => {
    const product = (expression: string): string => `module top(input [31:0] a, b, output [63:0] y); assign y = ${expression}; endmodule`;
    const row = { prompt: "", completion: product("b * a"), reference: product("a * b") };
    // Reading the designs has the same time as the proof: as much as this machine takes for it.
    const result = await withEnough([3000, 12_000, 48_000], async (timeoutMs) => {
      const one = await score(verilogEquivalent({ timeoutMs }), row);
      return one.error?.kind === "wrong-column" || one.value === 0 ? null : one;
    });
    expect(result).toMatchObject({ value: null, error: { kind: "declined" } });
  });
});

describe("what is refused in a design", () => {
  it.each([
    `initial $system("id");`,
    `integer f; initial f = $fopen("x");`,
    `initial $display("ALL PASSED");`,
    `initial $finish;`,
    `initial $dumpfile("x");`,
    '`include "/etc/passwd"',
    '`define X $``system\n initial `X("id");',
    "`define D $\n initial `D system;",
    "initial $ system;",
    "initial \\$system ;",
    `import "DPI-C" function int system(string s);`,
    "initial tb.bad = 0;",
    "initial force tb.y = 1;",
    "wire \\tb ;",
    "`pragma protect",
  ])("%s", (body) => {
    expect(refusal(design(body), ["tb"])).not.toBeNull();
  });

  it("lets through what only computes", () => {
    expect(refusal(design("`ifdef A\n`endif\n localparam N = $clog2(16); assign y = $signed(a) + $unsigned(b);"), ["tb"])).toBeNull();
    expect(moduleNames("module a; endmodule // module b\n/* module c */ module automatic d(); endmodule")).toEqual(["a", "d"]);
  });
});

const bench = `module tb; reg [3:0] a, b; wire [4:0] y; integer i, bad; top dut(a, b, y);
initial begin bad = 0; for (i = 0; i < 256; i = i + 1) begin {a, b} = i; #1 if (y !== a + b) bad = bad + 1; end
if (bad == 0) $display("ALL PASSED"); else $display("%0d bad", bad); $finish; end endmodule`;
const present = (await (await thisHost()).find("iverilog")) !== null;

describe("a test bench", () => {
  const rewarded = (timeoutMs: number) => verilogBench({ passes: "ALL PASSED", timeoutMs, memoryMiB: 256 });
  /** Simulators that this process started, and orphans; others may be at work on this machine as well. */
  const simulators = (): string[] =>
    execFileSync("ps", ["-eo", "ppid=,stat=,comm="], { encoding: "utf8" })
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(
        ([parent, state, name = ""]) =>
          [1, process.pid].includes(Number(parent)) && !state!.startsWith("Z") && /^(?:vvp|ivl|iverilog|unshare|setpriv)$/.test(name),
      )
      .map(([, , name]) => name!);

  it("needs Icarus Verilog, and says so where it is not", async () => {
    const [result] = await score(rewarded(ampleMs), [{ prompt: "", completion: adder, testbench: bench }]);
    if (present) expect(result).toEqual({ value: 1 });
    else expect(result).toMatchObject({ value: null, error: { message: expect.stringContaining("install iverilog") } });
  });

  const wrong = [
    ["a wrong design", adder.replace("+", "-"), /does not say that it passes/],
    ["a design that does not compile", "module top(input", /does not compile/],
    ["an endless loop at time zero", design("assign y = a + b; initial forever begin end"), /longer than \d+ ms/],
    ["a clock that never stops", design("reg c = 0; always #1 c = ~c; assign y = 0;"), /does not say|longer/],
    [
      "memory without end",
      design("reg [1023:0] m [0:20000000]; integer i; initial for (i = 0; i < 20000000; i = i + 1) m[i] = i; assign y = a + b;"),
      /code|does not|longer|compile/,
    ],
    ["recursion without end", `module top(input [3:0] a, b, output [4:0] y); top t(a, b, y); endmodule`, /compil|longer|wrote/],
    [
      "a generate loop without end",
      design("genvar g; generate for (g = 0; g >= 0; g = g + 1) begin : x wire w; end endgenerate assign y = a + b;"),
      /compil|longer|wrote/,
    ],
    ["printing the bench's words", design(`assign y = 0; initial $display("ALL PASSED");`), /refused/],
    ["reaching into the bench", design("assign y = 0; always @* tb.bad = 0;"), /refused/],
  ] as const;
  // Without a simulator there is nothing to judge these with; the test above says what a user is told.
  it.each(present ? wrong : [])("gives zero for %s", async (_, completion, note) => {
    const deadlines = /longer/.test(note.source) ? [1500, 6000, 24_000] : [ampleMs];
    const result = await withEnough(deadlines, async (timeoutMs) => {
      const one = await inTime(
        () => score(rewarded(timeoutMs), { prompt: "", completion, testbench: bench }),
        // Compiling and simulating have this time each.
        (crowd) => 2 * timeoutMs + 3000 * crowd,
      );
      return one.note === "compiling it took too long" && !note.test(one.note) ? null : one;
    });
    expect(result?.value).toBe(0);
    expect(result?.note).toMatch(note);
    await expect.poll(simulators).toEqual([]);
    expect(await score(rewarded(ampleMs), { prompt: "", completion: adder, testbench: bench })).toEqual({ value: 1 });
  });
});
