/**
 * The Python that is loaded into the interpreter before its memory is saved. It runs one stage of a job: the program, with what it is to do,
 * or the judge of its assertions. Programs can find and change it, for themselves alone: the memory is restored before the next stage.
 */
export const inside = String.raw`
import sys, os, io, json, re, asyncio, math, ast, types, builtins, traceback, collections, collections.abc, itertools, functools, operator, heapq, bisect, random, string, typing, dataclasses, datetime, decimal, fractions, copy, time, enum, abc, statistics, textwrap, contextlib

def _make():
    dumps, loads = json.dumps, json.loads
    is_finite = math.isfinite
    safe = 2 ** 53
    stdout = sys.stdout

    def encode(value, depth=0, strict=False):
        if depth > 400: return {"$": "other", "v": "a value nested too deeply"}
        kind = type(value)
        if value is None or kind is bool or kind is str: return value
        if isinstance(value, bool): return bool(value)
        if isinstance(value, int):
            value = int(value)
            return value if -safe <= value <= safe else {"$": "integer", "v": format(value, "d")}
        if isinstance(value, float):
            value = float(value)
            if not is_finite(value): return {"$": "number", "v": "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"}
            return {"$": "float", "v": value} if value == int(value) and abs(value) < 1e300 else value
        if isinstance(value, str): return str(value)
        # Whoever works on with a value needs it as it was; to be compared with JSON it may lose its type.
        if strict and kind not in (list, tuple, set, dict, collections.OrderedDict, collections.Counter, collections.defaultdict): return {"$": "other", "v": kind.__name__[:60]}
        def inner(item): return encode(item, depth + 1, strict)
        if isinstance(value, list): return [inner(item) for item in value]
        if isinstance(value, tuple): return {"$": "tuple", "v": [inner(item) for item in value]}
        if isinstance(value, (set, frozenset)): return {"$": "set", "v": [inner(item) for item in value]}
        if isinstance(value, (dict, types.MappingProxyType)): return {"$": "map", "v": [[inner(key), inner(item)] for key, item in value.items()]}
        if isinstance(value, (range, type({}.keys()), type({}.values()), collections.deque)): return [inner(item) for item in value]
        return {"$": "other", "v": kind.__name__[:60]}

    def decode(value):
        if isinstance(value, list): return [decode(item) for item in value]
        if not isinstance(value, dict): return value
        tag = value["$"]
        if tag == "float": return float(value["v"])
        if tag == "number": return float(value["v"].replace("Infinity", "inf").replace("NaN", "nan"))
        if tag == "integer": return int(value["v"])
        if tag == "tuple": return tuple(decode(item) for item in value["v"])
        if tag == "set": return {decode(item) for item in value["v"]}
        if tag == "map": return {decode(key): decode(item) for key, item in value["v"]}
        if tag == "undefined": return None
        raise _Unplain(value.get("v", "?"))

    class _Unplain(BaseException):
        pass

    class _Fault(BaseException):
        pass

    class _Need(BaseException):
        pass

    def describe(error):
        try:
            name = type(error).__name__
            if isinstance(error, SyntaxError): return f"{name}: {error.msg} (line {error.lineno})"
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "program.py"]
            return f"{name}: {str(error)[:250]}" + (f" (line {lines[-1]})" if lines else "")
        except BaseException:
            return "an exception"

    def failure(error):
        if isinstance(error, MemoryError): return {"kind": "memory", "message": "it used more memory than a program may"}
        if isinstance(error, KeyboardInterrupt): return {"kind": "timeout", "message": "it was interrupted"}
        return {"kind": "error", "message": f"it threw {describe(error)}"}

    def load(source, name):
        module = types.ModuleType(name)
        module.__dict__["__builtins__"] = builtins
        sys.modules[name] = module
        exec(compile(source, "program.py", "exec"), module.__dict__)
        return module.__dict__

    def find(scope, name):
        if name in scope: return scope[name]
        solution = scope.get("Solution")
        if isinstance(solution, type) and hasattr(solution, name): return getattr(solution(), name)
        raise NameError(f"it defines no {name[:60]}")

    def flush():
        for stream in (sys.stdout, sys.__stdout__, stdout):
            try:
                stream.flush()
            except Exception:
                pass

    # The stages.
    def run(job):
        try:
            load(job["source"], "__main__")
        except SystemExit:
            pass
        except BaseException as error:
            return failure(error)
        finally:
            flush()
        return {"kind": "output"}

    def calls(job):
        try:
            scope = load(job["source"], "program")
        except SystemExit:
            return {"failed": {"kind": "error", "message": "it ended itself"}}
        except BaseException as error:
            return {"failed": failure(error)}
        used = []
        for call in job["calls"]:
            try:
                args = decode(call["args"]) if call.get("tagged") else call["args"]
                named = decode(call["named"]) if call.get("named") else {}
                value = find(scope, call["name"])(*args, **named)
                strict = bool(call.get("tagged"))
                if not strict and isinstance(value, (types.GeneratorType, map, filter, zip, enumerate, reversed)): value = list(value)
                used.append({"kind": "value", "value": encode(value, 0, strict), "args": encode(args, 0, True) if strict else None})
            except BaseException as error:
                used.append({**failure(error), "raised": type(error).__name__, "said": str(error)[:500] if isinstance(error, Exception) else ""})
                if isinstance(error, KeyboardInterrupt): break
        return {"used": used}

    def names(job):
        answer = calls({"source": job["source"], "calls": []})
        if "failed" in answer: return answer
        scope = sys.modules["program"].__dict__
        kinds = {}
        for name in job["names"]:
            try:
                value = find(scope, name)
            except BaseException:
                continue
            kinds[name] = {"call": True} if callable(value) else {"value": encode(value, 0, True)}
        return {"kinds": kinds}

    def inside_test(job):
        try:
            scope = load(job["source"], "program")
        except BaseException as error:
            return failure(error)
        try:
            exec(compile(job["code"], "test.py", "exec"), scope)
        except AssertionError as error:
            return {"kind": "assertion", "message": f"the assertion failed: {describe(error)}"}
        except BaseException as error:
            return failure(error)
        return {"kind": "held"}

    def judge(job):
        verdicts = []
        for test in job["tests"]:
            asked = []
            answers = test["answers"]
            def stand_in(name):
                def call(*args, **named):
                    at = len(asked)
                    asked.append(None)
                    if at >= len(answers):
                        pieces, keywords = encode(list(args), 0, True), encode(named, 0, True)
                        if '"$": "other"' in dumps([pieces, keywords]): raise _Unplain("a function or an object is passed to the program")
                        raise _Need({"name": name, "args": pieces, "named": keywords, "tagged": True})
                    answer = answers[at]
                    if answer["kind"] != "value":
                        known = getattr(builtins, answer.get("raised") or "", None)
                        if not (isinstance(known, type) and issubclass(known, Exception)): known = RuntimeError
                        raise known(answer.get("said") or "")
                    after = answer.get("args")
                    if after is not None and '"$": "other"' not in dumps(after):
                        for before, now in zip(args, decode(after)):
                            if type(before) is list and type(now) is list: before[:] = now
                            elif type(before) is dict and type(now) is dict and before != now: before.clear(); before.update(now)
                            elif type(before) is set and type(now) is set and before != now: before.clear(); before.update(now)
                    try:
                        return decode(answer["value"])
                    except _Unplain as error:
                        # A capital letter is a class by custom: that is the test's doing. The program has no say in it.
                        if name[:1].isupper(): raise _Unplain(f"what {name} gives is no plain data") from None
                        raise _Fault(f"{name} gives a {error}, which is no plain data (if it is to, mark the test as inside)") from None
                call.__name__ = name
                return call
            def plain(name, value):
                try:
                    return decode(value)
                except _Unplain as error:
                    raise _Unplain(f"the variable {name} holds a {error}") if name[:1].isupper() else _Fault(f"the variable {name} holds a {error}, which is no plain data")
            scope = {"__name__": "test", "__builtins__": builtins}
            try:
                for name, kind in job["kinds"].items(): scope[name] = stand_in(name) if kind.get("call") else plain(name, kind["value"])
                tree = ast.parse(test["code"])
                classes = [part.id for node in ast.walk(tree) for clause in ([node.type] if isinstance(node, ast.ExceptHandler) and node.type else node.args[1:2] if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass") else node.bases if isinstance(node, ast.ClassDef) else []) for part in ast.walk(clause) if isinstance(part, ast.Name) and part.id in job["kinds"]]
                if classes: raise _Unplain(f"the test uses {classes[0]} as a class")
                exec(compile(tree, "test.py", "exec"), scope)
                # HumanEval's tests define check(candidate) and leave the call to the grader.
                if callable(scope.get("check")) and job.get("entry") and not any(isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check" for node in ast.walk(tree)):
                    scope["check"](scope[job["entry"]])
                verdicts.append({"kind": "held"})
            except _Need as need:
                verdicts.append({"kind": "need", "call": need.args[0]})
            except _Unplain as error:
                verdicts.append({"kind": "no-plain-data", "message": f"{error}; mark the test as inside, then the program's own interpreter runs it"})
            except _Fault as error:
                verdicts.append({"kind": "error", "message": str(error)})
            except AssertionError as error:
                verdicts.append({"kind": "assertion", "message": f"the assertion failed: {describe(error)}"})
            except BaseException as error:
                verdicts.append(failure(error))
        return {"verdicts": verdicts}

    stages = {"run": run, "calls": calls, "names": names, "inside": inside_test, "judge": judge}

    def main():
        with open("/home/pyodide/job.json") as file: job = loads(file.read())
        os.unlink("/home/pyodide/job.json")
        try:
            answer = dumps(stages[job["stage"]](job))
        except BaseException as error:
            answer = dumps({"failed": failure(error)})
        with io.open("/home/pyodide/answer.json", "w") as file: file.write(answer)
    return main

# Waiting is done by the clock alone: Pyodide's own ways to wait lead to JavaScript, which is shut.
def _make_waiting():
    now = time.monotonic

    def sleep(seconds, /):
        if seconds < 0: raise ValueError("sleep length must be non-negative")
        end = now() + seconds
        while now() < end: pass

    class Clock:
        def select(self, timeout=None):
            if timeout is None: raise RuntimeError("the program waits for something that never comes")
            sleep(max(0, timeout))
            return []

    class EventLoop(asyncio.BaseEventLoop):
        def __init__(self):
            super().__init__()
            self._selector = Clock()
        def _process_events(self, events): pass
        def _write_to_self(self): pass

    class Policy(asyncio.events._BaseDefaultEventLoopPolicy):
        _loop_factory = EventLoop

    time.sleep = sleep
    asyncio.run = asyncio.runners.run
    asyncio.events._set_event_loop_policy(Policy())
    asyncio.events._set_running_loop(None)
    asyncio.set_event_loop(None)

_make_waiting()
_guerdon_main = _make()
random.seed(0)
`;
