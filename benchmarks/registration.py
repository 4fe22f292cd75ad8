"""What declaring costs, and forgetting what was declared."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.environments import PROBES
from benchmarks.measuring import Figure, Fresh, Section, Series

_FIGURES = (
    ("{0} declarations by catalogue's", "by_hand", "catalogue", targets.DECLARING_BY_CATALOGUE),
    ("{0} declarations by the original's", "by_hand", "original", targets.DECLARING_BY_ORIGINAL),
    ("the same with the name of an argument, by without", "named", "by_hand", targets.NAMED),
    (
        "one declaration with {0} keys, by a dict",
        "many_keys",
        "filled_dict",
        targets.MANY_KEYS_DICT,
    ),
    ("`unload_all` of {0} declarations, by a dict", "unloaded", "filled_dict", targets.UNLOADING),
)
_PEERS = {"catalogue": ("catalogue",), "original": ("aimm",)}


def section(quick: bool) -> Section:
    """Figures about decorators."""
    count = 200 if quick else 10_000

    def probe(way: str) -> Fresh:
        return Fresh(
            name=f"{way}, {count:,}",
            needs=_PEERS.get(way, ()),
            arguments=(str(PROBES / "declare.py"), way, str(count)),
            best_of=1 if quick else 2,
        )

    return Section(
        name="registration",
        title="Registration",
        text="In a fresh process, by hand, so that each key can be called at once. The dict is "
        "filled key by key with one function. The garbage collector runs.",
        series=(
            Series(
                tuple(
                    Figure(
                        name=name.format(f"{count:,}"),
                        subject=probe(subject),
                        reference=probe(reference),
                        target=target,
                    )
                    for name, subject, reference, target in _FIGURES
                ),
                rounds=1 if quick else 11,
            ),
        ),
    )
