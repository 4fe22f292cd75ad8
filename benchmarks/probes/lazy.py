"""Starts a host that uses one light plugin beside heavy ones; to be measured from outside.

Run as a script with the name of the way.
"""

import sys

import aimm_plugins


def initialized(load: str) -> None:
    """By `initialize`, eager or lazy."""
    conf: dict[str, object] = {"names": []}
    if load == "lazy":
        conf["load"] = "lazy"
    aimm_plugins.initialize(conf)


def by_hand() -> None:
    """By importing the one module that is used."""
    __import__("bench_light")


if __name__ == "__main__":
    if sys.argv[1] == "by_hand":
        by_hand()
    else:
        initialized(sys.argv[1])
    if aimm_plugins.exec_fit("light.model", [1.0]) != [1.0]:
        sys.exit("the light plugin did not answer")
    heavy = "numpy" in sys.modules
    if heavy != (sys.argv[1] == "eager"):
        sys.exit(f"numpy is {'' if heavy else 'not '}imported")
