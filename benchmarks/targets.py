"""The ratios that the figures must not exceed, with where each is stated."""

from __future__ import annotations

from benchmarks.measuring import Target

_CORE, _LOADING, _DISPATCH, _BEYOND = "issue 3", "issue 4", "issue 5", "issue 7"
_TOOLS, _ENVIRONMENTS, _PEERS, _OWN = "issue 8", "issue 19", "issue 20", "our own"

IMPORT = Target(1.3, _CORE)
IMPORT_BEYOND_EMPTY = Target(1.5, _OWN)
DECLARING_BY_CATALOGUE = Target(15, f"{_OWN}; issue 20 wants 10")
DECLARING_BY_ORIGINAL = Target(0.5, f"{_OWN}; issue 20 wants 0.25")
NAMED = Target(1.5, f"{_OWN}; issue 20 wants 1.3")
MANY_KEYS_DICT = Target(5, _PEERS)
UNLOADING = Target(3, f"{_OWN}; issue 20 wants 1")
MANY_KEYS = Target(1.1, f"{_CORE}, {_DISPATCH}")

DISCOVERY = Target(1.3, _LOADING)
DISCOVERY_BY_ENTRY_POINTS = Target(0.25, _LOADING)
DISCOVERY_BY_STEVEDORE = Target(0.67, _LOADING)
DISCOVERY_BY_OTHERS = Target(1, _OWN)
INITIALIZE = Target(1.5, _OWN)
INITIALIZE_BY_HAND = Target(3, _OWN)
INITIALIZE_AGAIN = Target(0.6, _OWN)
PLAN = Target(1, _PEERS)
WHOLE_START = Target(1.1, _OWN)
LOADING_GROWTH = Target(12, _LOADING)
BROKEN_PLUGIN = Target(3, _LOADING)
LAZY = Target(1.5, _LOADING)
LAZY_BY_EAGER = Target(0.075, f"{_LOADING}: 1.5 of 20")

PREDICT_BY_ORIGINAL = Target(0.5, _DISPATCH)
PREDICT_BY_HOOK = Target(0.11, _DISPATCH)
CALL_BY_ORIGINAL = Target(0.8, _PEERS)
UNKNOWN_KEY = Target(1.5, _OWN)
KEYWORD_BY_ORIGINAL = Target(0.85, _DISPATCH)
KEYWORD_BY_HOOK = Target(0.22, _DISPATCH)
WRAPPED = Target(1.3, _DISPATCH)
WRAPPED_THRICE = Target(1.3, f"{_OWN}; issue 20 wants 1.1")
MONITORED = Target(1.3, f"{_DISPATCH}: as pluggy; read as for a wrapper")
STATE_BY_ORIGINAL = Target(1, _OWN)
HELD_BACK = Target(15, _DISPATCH)
ASYNC = Target(2, _DISPATCH)
MEMORY = Target(1, _DISPATCH)
MEMORY_CALLED = Target(2, _OWN)
MEMORY_LOADED = Target(1.8, _PEERS)

PACK = Target(1.2, _BEYOND)
FINGERPRINT = Target(1.5, _BEYOND)

PARITY_CHECK = Target(0.05, _BEYOND)
PREDICT_BY_SUBMIT = Target(1.3, _BEYOND)
MAP_BY_MAP = Target(1.2, _BEYOND)
TWO_WORKERS = Target(0.588, f"{_BEYOND}: 1.7 times as fast")
TWO_BY_SUBMIT = Target(1.1, _OWN)
LISTING = Target(1.5, _TOOLS)

CALL_BY_POOL = Target(1.5, _ENVIRONMENTS)
ARRAY_BY_COPIES = Target(1.5, _ENVIRONMENTS)
ENVIRONMENT_BY_HAND = Target(1.3, _ENVIRONMENTS)
TWO_ENVIRONMENTS = Target(1.5, f"{_ENVIRONMENTS}: side by side")
SYNC = Target(1, _ENVIRONMENTS)
