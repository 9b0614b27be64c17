import { spawn } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { closeSandboxes, runTests, sandboxPids } from "../../../src/rewards/index.ts";
import { alive } from "../../kit/process.ts";
import { ampleMs, hostile, type Hostile } from "./kit.ts";

const stopped: Hostile["ends"] = ["timeout", "memory", "crash", "error", "output"];
const shut: Hostile["ends"] = ["forbidden", "error"];
const programs: readonly Hostile[] = [
  { name: "an endless loop", program: "while True: pass", ends: ["timeout"] },
  {
    name: "an endless loop that catches interrupts",
    program: "while True:\n  try:\n    while True: pass\n  except BaseException: pass",
    ends: ["timeout"],
  },
  {
    name: "a signal handler that ignores interrupts",
    program: "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
    ends: ["timeout", "error"],
  },
  { name: "a list that grows without end", program: "a = []\nwhile True: a.append([0] * 100000)", ends: ["memory", "timeout"] },
  { name: "a huge bytearray", program: "bytearray(2 ** 31 - 100)", ends: ["memory", "error"] },
  {
    name: "memory errors that are caught",
    program: "a = []\nwhile True:\n  try: a.append(bytearray(10 ** 7))\n  except MemoryError: pass",
    ends: ["timeout"],
  },
  { name: "a file that fills the memory", program: "f = open('/tmp/x', 'wb')\nwhile True: f.write(b'x' * 10 ** 7)", ends: stopped },
  { name: "deep recursion", program: "def f(): return f()\nf()", ends: ["error"] },
  {
    name: "deep recursion without a limit",
    program: "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(n): return [f(n + 1)]\nf(0)",
    ends: stopped,
  },
  { name: "a power that takes for ever", program: "x = 10 ** (10 ** 8)", ends: stopped },
  {
    name: "the digits of a huge number",
    program: "import sys\nsys.set_int_max_str_digits(0)\nprint(len(str(7 ** 3000000)))",
    ends: [...stopped, "wrong"],
  },
  { name: "a huge string by multiplication", program: "s = 'x' * 10 ** 10", ends: ["memory", "error"] },
  { name: "sorting a huge list", program: "x = sorted(range(10 ** 8, 0, -1), key=lambda n: -n)", ends: stopped },
  { name: "summing a huge range in C", program: "sum(range(10 ** 12))", ends: stopped },
  {
    name: "an endless iterator eaten in C",
    program: "import itertools, collections\ncollections.deque(itertools.repeat(0), maxlen=0)",
    ends: stopped,
  },
  { name: "a catastrophic regular expression", program: "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')", ends: ["timeout"] },
  { name: "endless output", program: "while True: print('x' * 10000)", ends: ["output"] },
  {
    name: "endless output that is caught",
    program: "while True:\n  try: print('x' * 10000, flush=True)\n  except BaseException: pass",
    ends: ["output", "timeout"],
  },
  { name: "a fork", program: "import os\nprint(os.fork())", ends: ["error"] },
  { name: "a subprocess", program: "import subprocess\nprint(subprocess.check_output(['id']))", ends: ["error"] },
  { name: "os.system", program: "import os\nraise SystemError(os.system('id'))", ends: shut },
  { name: "killing its parent", program: "import os\nos.kill(os.getppid(), 9)\nraise SystemError", ends: [...shut, "crash"] },
  { name: "a thread", program: "import threading\nthreading.Thread(target=lambda: 1).start()", ends: ["error"] },
  { name: "a sleep without end", program: "import time\ntime.sleep(10 ** 9)", ends: ["timeout"] },
  {
    name: "a promise that nobody keeps",
    program: "import asyncio\nasync def f(): await asyncio.Future()\nasyncio.run(f())",
    ends: ["error"],
  },
  {
    name: "a connection by asyncio",
    program: "import asyncio\nasync def f(): await asyncio.open_connection('127.0.0.1', 80)\nasyncio.run(f())",
    ends: shut,
  },
  { name: "the module js", program: "import js\nprint(js.process)", ends: shut },
  { name: "JavaScript's Function", program: "import js\nprint(js.constructor.constructor('return process')())", ends: shut },
  { name: "run_js", program: "from pyodide.code import run_js\nprint(run_js('process.pid'))", ends: shut },
  { name: "pyodide_js and the files of the machine", program: "import pyodide_js\npyodide_js.mountNodeFS('/mnt', '/')", ends: shut },
  { name: "JavaScript objects made from Python's", program: "from pyodide.ffi import to_js\nprint(to_js([1]).constructor)", ends: shut },
  {
    name: "whatever of JavaScript the collector knows",
    program:
      "import gc\nfor o in gc.get_objects():\n  if 'Js' in type(o).__name__: print(o.constructor.constructor('return process')())\nraise SystemError",
    ends: shut,
  },
  {
    name: "foreign functions",
    program: "import ctypes\nctypes.CDLL(None).emscripten_run_script(b'process.exit(0)')\nraise SystemError",
    ends: [...shut, "crash"],
  },
  {
    name: "wild pointers",
    program: "import ctypes\nctypes.memset(0, 255, 10 ** 7)\nraise SystemError",
    ends: [...shut, "crash", "memory", "timeout"],
  },
  { name: "a socket", program: "import socket\ns = socket.socket()\ns.connect(('127.0.0.1', 80))", ends: shut },
  {
    name: "a page of the network",
    program: "import urllib.request\nurllib.request.urlopen('http://127.0.0.1/')",
    ends: [...shut, "timeout"],
  },
  { name: "a file of the machine", program: "print(open('/etc/passwd').read())", ends: ["error"] },
  {
    name: "the environment",
    program:
      "import os\nprint(dict(os.environ))\nassert set(os.environ) <= {'HOME', 'USER', 'LOGNAME', 'PATH', 'PWD', 'LANG', 'TMPDIR', '_', 'PYTHONINSPECT', 'PYTHONHASHSEED', 'LD_LIBRARY_PATH'} and os.environ['_'] == 'python', 'leak'",
    ends: ["wrong"],
  },
  { name: "an exit", program: "import os\nos._exit(0)", ends: ["wrong", "crash", "error"] },
  { name: "an abort", program: "import os\nos.abort()", ends: ["crash", "error"] },
  {
    name: "builtins",
    program:
      "import builtins, sys, json, os\nbuiltins.print = builtins.open = builtins.exec = builtins.compile = builtins.input = builtins.int = lambda *a, **k: 7\njson.dumps = json.loads = lambda *a, **k: {}\nsys.modules.clear()",
    ends: ["wrong", "error"],
  },
  {
    name: "sys.modules and the import system",
    program:
      "import sys\nsys.meta_path.clear(); sys.path.clear(); sys.path_hooks.clear(); sys.stdout = sys.stdin = sys.stderr = None\nfor m in list(sys.modules): sys.modules[m] = None",
    ends: ["wrong", "error"],
  },
  {
    name: "the harness's frames",
    program: "import sys\nf = sys._getframe()\nwhile f:\n  for v in list(f.f_locals.values()): print(str(v)[:2000])\n  f = f.f_back",
    ends: ["wrong", "error"],
  },
  {
    name: "everything that the collector knows, for the tests",
    program:
      "import gc\nfor o in gc.get_objects():\n  if isinstance(o, dict):\n    for v in list(o.values()):\n      if isinstance(v, str) and v.startswith('the secret'): print(v)",
    ends: ["wrong"],
  },
  {
    name: "the harness's own answer file",
    program:
      "import io, os\nclass Liar(io.StringIO):\n  def write(self, text): return 0\nopen('/home/pyodide/answer.json', 'w').write('{\"kind\":\"held\"}')\nos.chmod('/home/pyodide', 0)",
    ends: ["wrong", "error"],
  },
  {
    name: "the standard library's own file",
    program:
      "open('/lib/python314.zip', 'wb').write(b'broken')\nimport os\nfor root, folders, files in os.walk('/'):\n  for f in files:\n    try: os.unlink(os.path.join(root, f))\n    except OSError: pass",
    ends: ["wrong", "error"],
  },
  {
    name: "an exception that lies about itself",
    program: "class E(Exception):\n  def __str__(self):\n    while True: pass\nraise E",
    ends: ["timeout", "error"],
  },
];

describe("Python that means harm", () => {
  hostile(programs, { language: "python", timeoutMs: 1000 }, "import json, random, collections, xml.dom\nprint(int(input()) * 2)", 2500);

  it("changes nothing for the next program", async () => {
    const vandal = `import builtins, sys, json, random, os, string, gc
builtins.secret = 41; sys.secret = 41; string.secret = 41
json.dumps = lambda *a, **k: "{}"
builtins.len = lambda x: 7
os.environ["secret"] = "41"
open("/tmp/secret", "w").write("41"); open("/lib/python3.14/site-packages/secret.py", "w").write("x = 41")
for o in gc.get_objects():
    if type(o).__name__ == "function" and o.__name__ in ("encode", "decode", "main", "run"): o.__code__ = (lambda *a, **k: None).__code__
print(42)
sys.stdout.flush()
for fd in range(10):
    try: os.close(fd)
    except OSError: pass
os.chdir("/tmp")`;
    const look = `import builtins, sys, json, os, string
found = [hasattr(builtins, "secret"), hasattr(sys, "secret"), hasattr(string, "secret"), "secret" in os.environ, os.path.exists("/tmp/secret"), os.getcwd() == "/tmp", len([1]) != 1, json.dumps([1]) != "[1]"]
try:
    import secret
    found.append(True)
except ImportError: pass
print(any(found))`;
    for (let i = 0; i < 6; i++) {
      await runTests(vandal, [{ kind: "output", stdin: "", stdout: "42" }], { language: "python", timeoutMs: ampleMs });
      const seen = await runTests(look, [{ kind: "output", stdin: "", stdout: "False" }], { language: "python", timeoutMs: ampleMs });
      expect(seen).toEqual([{ passed: true }]);
    }
  });

  it.each([
    [
      "a value that equals everything",
      "class Any:\n  def __eq__(self, other): return True\n  def __hash__(self): return 0\ndef add(a, b): return Any()",
    ],
    [
      "an int that equals everything",
      "class Any(int):\n  def __eq__(self, other): return True\n  __hash__ = int.__hash__\ndef add(a, b): return Any(0)",
    ],
    [
      "the assertion's text in the frames above",
      "import sys, re, gc\ndef told(v): return re.search('ass[e]rt ad[d]|3, [4].*== [7]', v)\ndef add(a, b):\n  f = sys._getframe()\n  while f:\n    for c in list(f.f_code.co_consts) + list(f.f_locals.values()):\n      if told(str(c)): return 7\n    f = f.f_back\n  for o in gc.get_objects():\n    if isinstance(o, dict):\n      for v in list(o.values()):\n        if isinstance(v, str) and told(v): return 7\n  return 0",
    ],
    ["an assertion error that it swallows", "import builtins\nbuiltins.AssertionError = KeyError\ndef add(a, b): return 0"],
    ["an exit in the middle", "import os\ndef add(a, b): os._exit(0)"],
    ["a system exit", "def add(a, b): raise SystemExit(0)"],
    ["results that it prints", 'def add(a, b):\n  print(\'{"verdicts": [{"kind": "held"}]}\')\n  return 0'],
  ])("is not taken in by %s", async (_, program) => {
    const results = await runTests(
      program,
      [
        { kind: "assert", code: "assert add(3, 4) == 7", inside: false },
        { kind: "call", name: "add", args: [3, 4], returns: 7 },
      ],
      { language: "python", timeoutMs: ampleMs },
    );
    expect(results.map(({ passed }) => passed)).toEqual([false, false]);
  });

  it.each([0, 300, 900])(
    "leaves no process behind when the whole program ends %i ms after the first sandbox began to start",
    async (ms) => {
      const source = `const { runTests, sandboxPids } = await import(${JSON.stringify(new URL("../../../src/rewards/index.ts", import.meta.url).href)});
      for (let i = 0; i < 2; i++) void runTests("def f(): return 1", [{ kind: "call", name: "f", args: [], returns: 1 }], { language: "python" });
      while (sandboxPids().length === 0) await new Promise((resolve) => setTimeout(resolve));
      setTimeout(() => { console.log(JSON.stringify(sandboxPids())); process.exit(0); }, ${ms});`;
      const parent = spawn(process.execPath, ["--conditions=guerdon-source", "--input-type=module", "-e", source]);
      let said = "";
      parent.stdout.on("data", (text: Buffer) => (said += text.toString()));
      await new Promise((resolve) => parent.on("close", resolve));
      const pids = JSON.parse(said) as number[];
      expect(pids.length).toBeGreaterThan(0);
      await expect.poll(() => pids.filter(alive)).toEqual([]);
    },
  );

  afterAll(async () => {
    const pids = sandboxPids();
    await closeSandboxes();
    expect(pids.filter(alive)).toEqual([]);
  });
});
