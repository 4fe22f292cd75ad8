"""What a call by key costs."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.measuring import Figure, Loop, Section, Series, Target

_OURS = "exec_predict(key, instance, None, x)"
_OURS_KEYWORD = "exec_predict(key, instance, None, x=x)"
_HOOK = "hook(model_type=key, instance=instance, state_cb=None, args=(x,), kwargs={})"
_HOOK_KEYWORD = "hook(model_type=key, instance=instance, state_cb=None, args=(), kwargs={'x': x})"


def _ours(setup: str, name: str, statement: str = _OURS) -> Loop:
    return Loop(name=name, setup=setup, statement=statement)


def _hook(setup: str, name: str, statement: str = _HOOK) -> Loop:
    return Loop(name=name, setup=setup, statement=statement, needs=("pluggy",))


def _original(name: str, statement: str) -> Loop:
    return Loop(name=name, setup="original", statement=statement, needs=("aimm",))


_ACTIONS = {
    "exec_data_access": ("x", targets.CALL_BY_ORIGINAL),
    "exec_instantiate": ("x", targets.CALL_BY_ORIGINAL),
    "exec_fit": ("instance, {callback}, x", targets.PREDICT_BY_ORIGINAL),
    "exec_serialize": ("content", targets.CALL_BY_ORIGINAL),
    "exec_deserialize": ("content", targets.CALL_BY_ORIGINAL),
}


def _by_original(action: str, arguments: str, target: Target) -> Figure:
    """One action by the original's, which has a callback that ignores events in place of `None`."""
    given = arguments.replace("x", "{callback}, x") if arguments == "x" else arguments
    ours, original = (
        f"{action}(key, {given.format(callback=callback)})" for callback in ("None", "ignore")
    )
    return Figure(
        name=f"`{ours}` by the original's",
        subject=_ours("ours_all", action, ours),
        reference=_original(f"original {action}", original),
        target=target,
    )


def section(quick: bool) -> Section:
    """Figures about the `exec_*` functions."""
    ours = _ours("ours", "exec_predict")
    keyword = _ours("ours", "exec_predict, keyword", _OURS_KEYWORD)
    figures = (
        Figure(
            name="`exec_predict(key, instance, None, x)` by the original's",
            subject=ours,
            reference=_original("original", "exec_predict(key, instance, ignore, x)"),
            target=targets.PREDICT_BY_ORIGINAL,
        ),
        *(_by_original(action, *row) for action, row in _ACTIONS.items()),
        Figure(
            name="`exec_predict` by a pluggy hook",
            subject=ours,
            reference=_hook("hook", "hook"),
            target=targets.PREDICT_BY_HOOK,
        ),
        Figure(
            name="`exec_predict` with `x=x` by the original's",
            subject=keyword,
            reference=_original("original, keyword", "exec_predict(key, instance, ignore, x=x)"),
            target=targets.KEYWORD_BY_ORIGINAL,
        ),
        Figure(
            name="`exec_predict` with `x=x` by a pluggy hook",
            subject=keyword,
            reference=_hook("hook", "hook, keyword", _HOOK_KEYWORD),
            target=targets.KEYWORD_BY_HOOK,
        ),
        Figure(
            name="10,000 keys by one",
            subject=_ours("ours_full", "exec_predict, 10,000 keys"),
            reference=ours,
            target=targets.MANY_KEYS,
        ),
        Figure(
            name="with one wrapper, by a pluggy hook with one",
            subject=_ours("ours_wrapped_1", "exec_predict, one wrapper"),
            reference=_hook("hook_wrapped_1", "hook, one wrapper"),
            target=targets.WRAPPED,
        ),
        Figure(
            name="with three wrappers, by a pluggy hook with three",
            subject=_ours("ours_wrapped_3", "exec_predict, three wrappers"),
            reference=_hook("hook_wrapped_3", "hook, three wrappers"),
            target=targets.WRAPPED_THRICE,
        ),
        Figure(
            name="monitored, by a monitored pluggy hook",
            subject=_ours("ours_monitored", "exec_predict, monitored"),
            reference=_hook("hook_monitored", "hook, monitored"),
            target=targets.MONITORED,
        ),
        Figure(
            name="an unknown key among 100,000, by one among 1,000",
            subject=_ours("ours_unknown_100000", "unknown of 100,000", "unknown()"),
            reference=_ours("ours_unknown_1000", "unknown of 1,000", "unknown()"),
            target=targets.UNKNOWN_KEY,
        ),
    )
    return Section(
        name="dispatch",
        title="Dispatch",
        text="A function that returns its argument, called by key. The pluggy hook is the leanest "
        "that does the same: `firstresult`, with one implementation that looks the function up in "
        "a dict and calls it.",
        series=(Series(figures, rounds=1 if quick else 24),),
    )
