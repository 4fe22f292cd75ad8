"""The bugs: each is a change of the text of `line.py`, and the check that is meant for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aimm_plugins.testing import Conformance, arguments

SOURCE = Path(__file__).with_name("line.py").read_text(encoding="utf-8")
EVERYTHING = {"deterministic", "thread_safe", "distributable"}


def training(variant: int) -> Any:
    """Six points of one of two lines."""
    x = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    return arguments(x, [(2.0 - 3 * variant) * each + 1 for each in x])


MODEL = Conformance(
    model_type="line",
    instantiate=lambda: arguments(seed=3, names=["b", "a"]),
    fit=training,
    predict=lambda variant: arguments([3.0 + variant, 1.0, 2.0]),
    claims=EVERYTHING,
)
DATA = Conformance(
    data_access="points", access=lambda: arguments(["b", "a"], count=3), claims=EVERYTHING
)


@dataclass(frozen=True)
class Variant:
    """One bug.

    Attributes:
        check: The check that is meant for it.
        wrong: What is wrong, for people.
        changes: Pieces of the source and what stands in their place.
        end: What stands at the end of the module.
        told: Other things that the author says, by field of `Conformance`.
        metadata: Entry points, by group, of the distribution that it is in.
    """

    check: str
    wrong: str
    changes: Mapping[str, str] = field(default_factory=dict)
    end: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The module's text."""
        text = SOURCE
        for old, new in self.changes.items():
            assert text.count(old) >= 1, f"{self.wrong}: {old!r} is not in line.py"
            text = text.replace(old, new)
        return f"{text}\n\n{self.end}\n"

    def conformance(self, module: str) -> Conformance:
        """What its author says."""
        from aimm_plugins.testing import checks

        (check,) = [each for each in checks() if each.name == self.check]
        told = DATA if check.kinds == ("data",) else MODEL
        return replace(told, plugin=module, **self.told)


FIT_END = "    line.slope, line.offset = slope, offset\n    return line\n"
FIT_EVENT = '        state_cb({"phase": "fit", "step": epoch, "total": epochs, "unit": "epoch"})\n'
SAVE = "    return json.dumps(vars(line)).encode()\n"
VALUES = "    values = [line.slope * each + line.offset for each in x]\n"
LOADED = '        line.slope, line.offset = state["slope"], state["offset"]\n'
STATE = "        state = json.loads(instance_bytes)\n"
CLASS_END = "        self.offset = 0.0\n"
MAKE = "    return Line(rate, seed, [] if names is None else names)\n"
POINTS = "    return {name: [float(each) for each in range(count)] for name in columns}\n"


def guarded(error: str) -> str:
    """The event, with what the callback raises swallowed."""
    return f"        try:\n    {FIT_EVENT}        except {error}:\n            pass\n"


VARIANTS = (
    # Import
    Variant(
        "import-succeeds",
        "needs a library that nothing brings",
        end="import no_such_library",
    ),
    Variant(
        "import-leaves-threads",
        "starts a thread",
        end="import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
    ),
    Variant(
        "import-leaves-signals",
        "sets a signal handler",
        end="import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)",
    ),
    Variant(
        "import-leaves-environment",
        "sets a variable of the environment",
        end="import os\nos.environ['SEEDED_BUG'] = '1'",
    ),
    Variant("import-leaves-working-directory", "changes directory", end="import os\nos.chdir('/')"),
    Variant(
        "import-leaves-logging",
        "configures the root logger",
        end="import logging\nlogging.basicConfig()",
    ),
    Variant(
        "import-leaves-logging", "switches logging off", end="import logging\nlogging.disable()"
    ),
    Variant(
        "import-leaves-warnings",
        "silences warnings",
        end="import warnings\nwarnings.filterwarnings('ignore')",
    ),
    Variant(
        "import-leaves-path", "adds to sys.path", end="import sys\nsys.path.append('/nowhere')"
    ),
    Variant("import-leaves-globals", "seeds the random generator", end="random.seed(0)"),
    Variant(
        "import-leaves-globals",
        "raises the recursion limit",
        end="import sys\nsys.setrecursionlimit(5000)",
    ),
    Variant("import-writes-no-file", "writes a log file", end="open('line.log', 'w').close()"),
    Variant("import-prints-nothing", "prints a greeting", end="print('line is ready')"),
    Variant(
        "import-is-quick",
        "sleeps while it is imported",
        end="import time\ntime.sleep(0.3)",
        told={"import_seconds": 0.2},
    ),
    # Metadata and code
    Variant(
        "keys-are-as-published",
        "publishes a key under its old name",
        metadata={
            "aimm.plugins": {"line": "{module}"},
            "aimm.plugins.fit": {"straight_line": "{module}:learn"},
        },
    ),
    Variant(
        "keys-are-stable",
        "a key is another one in each process",
        end="import os\n@data_access(f'rows-{os.getpid()}')\ndef rows() -> int: return 1",
    ),
    Variant(
        "entry-points-resolve",
        "an entry point names a function that was renamed",
        metadata={
            "aimm.plugins": {"line": "{module}"},
            "aimm.plugins.fit": {"line": "{module}:train"},
        },
    ),
    Variant(
        "options-have-a-sound-schema",
        "the default of an option is no number, as its own schema asks",
        end="OPTIONS = {'properties': {'steps': {'type': 'integer', 'default': '100'}}}",
        metadata={
            "aimm.plugins": {"line": "{module}"},
            "aimm.plugins.options": {"line": "{module}:OPTIONS"},
        },
    ),
    Variant(
        "something-is-declared",
        "its decorators were commented out",
        {"@": "# @"},
    ),
    Variant(
        "actions-come-in-pairs",
        "can be serialized and not deserialized",
        {'@deserialize(["line"])\n': ""},
    ),
    Variant(
        "signatures-are-typed",
        "a parameter has no annotation",
        {"instance_bytes: bytes": "instance_bytes"},
    ),
    Variant(
        "docstrings-are-there", "a function has no docstring", {'    """The line as JSON."""\n': ""}
    ),
    Variant(
        "hookimpls-are-in-order",
        "a hook implementation has the marker of another project",
        end="import pluggy\n@pluggy.HookimplMarker('aimm.plugins')\ndef aimm_fit(instance): ...",
    ),
    # Fit and predict
    Variant(
        "fit-gives-a-predictor",
        "fit returns nothing",
        {FIT_END: FIT_END.replace("return line", "return None")},
    ),
    Variant(
        "fit-gives-a-predictor",
        "predict returns the instance with the prediction",
        {"    return values\n": "    return line, values\n"},
    ),
    Variant(
        "fit-gives-a-predictor",
        "predict returns what replaces the instance with the prediction",
        {
            "    return values\n": "    return copy.copy(line), values\n",
            "import json\n": "import copy\nimport json\n",
        },
    ),
    Variant(
        "fit-gives-a-predictor",
        "predict returns nothing",
        {"    return values\n": ""},
    ),
    Variant(
        "fit-gives-a-predictor",
        "instantiate returns nothing",
        {MAKE: "    Line(rate, seed, [])\n"},
    ),
    Variant(
        "fit-again-gives-a-predictor",
        "a fitted instance cannot be fitted again",
        {
            "    order = list": "    if line.slope is not None:\n        raise ValueError('fitted')\n    order = list"
        },
    ),
    Variant(
        "fit-keeps-arguments",
        "fit sorts its data in place",
        {"    order = list": "    y.reverse()\n    order = list"},
    ),
    Variant(
        "predict-keeps-arguments",
        "predict scales its data in place",
        {VALUES: "    x[:] = [each * 1.0 + 1.0 for each in x]\n" + VALUES},
    ),
    Variant(
        "instantiate-keeps-arguments",
        "instantiate sorts the list that it was given",
        {MAKE: "    names and names.sort()\n" + MAKE},
    ),
    # Instances
    Variant(
        "instances-are-separate",
        "one instance is made and given to all",
        {MAKE: "    return _ONE\n"},
        end="_ONE = Line(0.05, 0, [])",
    ),
    Variant(
        "instances-are-separate",
        "a mutable default is shared by all instances",
        {
            "self, rate: float, seed: int, names: list[str])": "self, rate: float, seed: int, names: list[str], log: list[float] = [])",
            CLASS_END: CLASS_END + "        self.log = log\n",
            FIT_END: "    line.log.append(slope)\n" + FIT_END,
            SAVE: "    return json.dumps({k: v for k, v in vars(line).items() if k != 'log'}).encode()\n",
        },
    ),
    Variant(
        "instances-do-not-mix",
        "what was learned is kept in the module",
        {
            "    line.slope, line.offset = slope, offset\n": "    line.slope, line.offset = slope, offset\n    _LEARNED[:] = [slope, offset]\n",
            VALUES: "    values = [_LEARNED[0] * each + _LEARNED[1] for each in x]\n",
        },
        end="_LEARNED = [0.0, 0.0]",
    ),
    Variant(
        "instances-do-not-mix",
        "what was learned is kept in the class",
        {
            "    line.slope, line.offset = slope, offset\n": "    Line.offset_of_all = offset\n    line.slope, line.offset = slope, offset\n",
            VALUES: "    values = [line.slope * each + Line.offset_of_all for each in x]\n",
        },
    ),
    Variant(
        "instances-do-not-mix",
        "predictions are cached under their data alone",
        {
            VALUES: "    if tuple(x) not in _CACHE:\n        _CACHE[tuple(x)] = [line.slope * each + line.offset for each in x]\n    values = list(_CACHE[tuple(x)])\n    _CACHE.update({key: [v + 1 for v in _CACHE[key]] for key in _CACHE if key != tuple(x)})\n"
        },
        end="_CACHE: dict = {}",
    ),
    # Randomness
    Variant(
        "random-state-is-left-alone",
        "fit seeds the process's generator",
        {
            "    generator = random.Random(line.seed)\n": "    random.seed(line.seed)\n    generator = random\n"
        },
    ),
    Variant(
        "deterministic-fit",
        "fit shuffles with the process's generator",
        {"    generator = random.Random(line.seed)\n": "    generator = random\n"},
    ),
    Variant(
        "deterministic-predict",
        "predict adds noise",
        {VALUES: VALUES + "    values = [each + random.random() for each in values]\n"},
    ),
    Variant(
        "deterministic-predict",
        "predict depends on how often it was called",
        {VALUES: "    line.offset += 1.0\n" + VALUES},
    ),
    Variant(
        "deterministic-in-other-processes",
        "the order of a set of texts decides",
        {
            VALUES: VALUES
            + "    values = [each + {n: i for i, n in enumerate({*map(str, range(50))})}['7'] for each in values]\n"
        },
    ),
    Variant(
        "works-in-a-spawned-process",
        "needs what the main program has set up",
        {
            "    order = list": "    if not sys.modules.get('pytest'):\n        raise RuntimeError('not set up')\n    order = list",
            "import random\n": "import random\nimport sys\n",
        },
    ),
    Variant(
        "threads-do-not-mix",
        "the instance at work stands in a global",
        {
            VALUES: "    global _AT_WORK\n    _AT_WORK = line\n    time.sleep(0.002)\n"
            + VALUES.replace("line.", "_AT_WORK."),
            "import random\n": "import random\nimport time\n",
        },
    ),
    # State events
    Variant(
        "events-are-valid",
        "sends a number that is no JSON",
        {'"unit": "epoch"}': '"unit": "epoch", "metrics": {"loss": float("nan")}}'},
    ),
    Variant(
        "events-are-valid",
        "sends a text in place of a dict",
        {FIT_EVENT: "        state_cb(f'epoch {epoch}')\n"},
    ),
    Variant(
        "events-are-valid",
        "sends an object of its own",
        {'"unit": "epoch"}': '"unit": "epoch", "line": line}'},
    ),
    Variant(
        "events-go-forward", "progress goes back", {'"step": epoch,': '"step": epochs - epoch,'}
    ),
    Variant(
        "events-go-forward",
        "the step is beyond the total",
        {'"step": epoch,': '"step": epoch + 1,'},
    ),
    Variant("events-arrive", "the last step never comes", {'"step": epoch,': '"step": epoch - 1,'}),
    Variant(
        "events-are-separate",
        "one dict is sent again and again",
        {
            FIT_EVENT: '        state["step"] = epoch\n        state_cb(state)\n',
            "    slope = offset = 0.0\n": '    slope = offset = 0.0\n    state = {"total": epochs}\n',
        },
    ),
    Variant(
        "events-end-with-the-call",
        "a thread sends after the return",
        {
            FIT_END: "    threading.Timer(0.3, state_cb, [{'phase': 'late'}]).start()\n" + FIT_END,
            "import random\n": "import random\nimport threading\n",
        },
    ),
    Variant(
        "events-end-with-the-call",
        "the thread of a pool sends after the return",
        {
            FIT_END: "    POOL.submit(lambda: (time.sleep(0.02), state_cb({'phase': 'late'})))\n"
            + FIT_END,
            "import random\n": "import random\nimport time\nfrom concurrent.futures import ThreadPoolExecutor\n\nPOOL = ThreadPoolExecutor()\nPOOL.submit(int)\n",
        },
    ),
    # Callbacks
    Variant(
        "callback-errors-reach-the-caller",
        "swallows what the callback raises",
        {FIT_EVENT: guarded("Exception")},
    ),
    Variant(
        "callback-errors-reach-the-caller",
        "wraps what the callback raises",
        {
            FIT_EVENT: guarded("Exception as error").replace(
                "pass", "raise RuntimeError('fit failed') from error"
            )
        },
    ),
    Variant(
        "callback-errors-reach-the-caller",
        "swallows it at the last event alone",
        {
            FIT_EVENT: guarded("Exception").replace(
                "pass", "\n                if epoch < epochs:\n                    raise"
            )
        },
    ),
    Variant(
        "cancelled-reaches-the-caller",
        "swallows errors of the framework",
        {
            FIT_EVENT: guarded("AimmPluginsError"),
            "from aimm_plugins import (\n": "from aimm_plugins import (\n    AimmPluginsError,\n",
        },
    ),
    Variant(
        "interrupts-reach-the-caller",
        "takes an interrupt for the end of the fit",
        {FIT_EVENT: guarded("KeyboardInterrupt").replace("pass", "break")},
    ),
    Variant(
        "callback-errors-leave-a-usable-instance",
        "an ended fit leaves the instance half made",
        {
            "    slope = offset = 0.0\n": "    slope = offset = 0.0\n    del line.offset\n    line.slope = 0.0\n"
        },
    ),
    Variant(
        "callback-errors-leave-a-usable-instance",
        "an ended fit keeps its lock",
        {
            "    order = list": "    if line.names == ['busy']:\n        raise RuntimeError('a fit is under way')\n    names, line.names = line.names, ['busy']\n    order = list",
            FIT_END: "    line.names = names\n" + FIT_END,
        },
    ),
    Variant(
        "callback-changes-nothing",
        "learns in the callback's branch alone",
        {
            FIT_EVENT: FIT_EVENT
            + "        if state_cb.__class__.__name__ == 'StateEvents':\n            slope += 0.1\n"
        },
    ),
    # Serialization
    Variant("round-trip", "forgets a field", {LOADED: '        line.slope = state["slope"]\n'}),
    Variant(
        "round-trip",
        "rounds what it writes",
        {
            SAVE: "    return json.dumps({k: round(v, 1) if isinstance(v, float) else v for k, v in vars(line).items()}).encode()\n"
        },
    ),
    Variant(
        "round-trip",
        "writes the class's value, not the instance's",
        {SAVE: "    return json.dumps({**vars(line), 'offset': Line(0, 0, []).offset}).encode()\n"},
    ),
    Variant(
        "round-trip-twice",
        "what was deserialized forgets a field",
        {
            LOADED: LOADED + "        line.loaded = True\n",
            CLASS_END: CLASS_END + "        self.loaded = False\n",
            SAVE: "    return json.dumps({**vars(line), 'slope': 0.0 if line.loaded else line.slope}).encode()\n",
        },
    ),
    Variant(
        "round-trip-then-fit",
        "forgets what only the next fit needs",
        {'Line(state["rate"], state["seed"], state["names"])': "Line(0.01, 0, [])"},
    ),
    Variant(
        "round-trip-in-a-fresh-process",
        "writes a reference to the memory of the process",
        {
            SAVE: "    _ALL[id(line)] = line\n    return json.dumps(id(line)).encode()\n",
            STATE: STATE
            + "        if isinstance(state, int):\n            state = vars(_ALL[state])\n",
        },
        end="_ALL: dict = {}",
    ),
    Variant(
        "serialize-keeps-the-instance",
        "serializing takes the weights out",
        {
            SAVE: "    content = json.dumps(vars(line)).encode()\n    line.offset = 0.0\n    return content\n"
        },
    ),
    Variant("serialize-gives-bytes", "gives a text", {SAVE: "    return json.dumps(vars(line))\n"}),
    Variant(
        "serialize-cost",
        "keeps its training data in what it writes",
        {SAVE: "    return json.dumps({**vars(line), 'data': [0.0] * 10_000}).encode()\n"},
        told={"serialized_bytes": 1000},
    ),
    Variant(
        "deserialized-instances-are-separate",
        "caches what it has deserialized",
        {
            STATE: "        if instance_bytes in _LOADED:\n            return _LOADED[instance_bytes]\n"
            + STATE,
            LOADED: LOADED + "        _LOADED[instance_bytes] = line\n",
        },
        end="_LOADED: dict = {}",
    ),
    Variant(
        "garbage-is-refused",
        "makes an unfitted instance of garbage",
        {
            '        raise ValueError(f"not a saved line: {error!r}") from error\n': "        return make()\n"
        },
    ),
    Variant(
        "garbage-is-refused",
        "ends the process on garbage",
        {
            '        raise ValueError(f"not a saved line: {error!r}") from error\n': "        raise SystemExit(1) from error\n"
        },
    ),
    Variant(
        "garbage-is-refused",
        "crashes the interpreter on garbage",
        {
            '        raise ValueError(f"not a saved line: {error!r}") from error\n': "        import os\n        os.abort()\n"
        },
    ),
    Variant(
        "truncated-bytes-are-refused",
        "waits for the rest of cut bytes",
        {STATE: "        while not instance_bytes.endswith(b'}'):\n            pass\n" + STATE},
        told={"call_seconds": 1.0},
    ),
    Variant(
        "truncated-bytes-are-refused",
        "makes up for what is cut off",
        {
            "    except (ValueError, TypeError": "    except json.JSONDecodeError:\n        line = make()\n        line.slope = 0.0\n    except (ValueError, TypeError",
        },
    ),
    Variant(
        "instances-can-be-pickled",
        "an instance holds a lock",
        {
            CLASS_END: CLASS_END + "        self.lock = threading.Lock()\n",
            "import random\n": "import random\nimport threading\n",
        },
    ),
    Variant(
        "instances-can-be-pickled",
        "the pickle forgets a field",
        {
            CLASS_END: CLASS_END
            + "\n    def __getstate__(self) -> dict:\n        return {**vars(self), 'offset': 0.0}\n"
        },
    ),
    Variant(
        "arguments-can-be-pickled",
        "takes a function as an argument",
        {
            "names: list[str] | None = None": "names: object = None",
            "[] if names is None else names": "names()",
        },
        told={"instantiate": lambda: arguments(names=lambda: ["a"])},
    ),
    Variant(
        "results-can-be-pickled",
        "returns an object of a local class",
        {
            "    return values\n": "    class Values(list):\n        pass\n\n    return Values(values)\n"
        },
    ),
    # Data
    Variant(
        "access-keeps-arguments",
        "the access sorts the columns that it was given",
        {POINTS: "    columns.sort()\n" + POINTS},
    ),
    Variant(
        "deterministic-access",
        "the access goes on where the last one ended",
        {POINTS: POINTS.replace("range(count)", "range(next(_ROWS), 100)")},
        end="import itertools\n_ROWS = itertools.count()",
    ),
    Variant(
        "results-are-separate",
        "the access returns its cache",
        {
            POINTS: "    return _CACHE.setdefault(count, {name: [float(each) for each in range(count)] for name in columns})\n"
        },
        end="_CACHE: dict = {}",
    ),
)
