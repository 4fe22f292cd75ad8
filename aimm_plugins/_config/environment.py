"""What the environment of the process says about plugins."""

from __future__ import annotations

import os

from aimm_plugins._config.parse import denying, read_policy
from aimm_plugins._config.values import Conf, Config
from aimm_plugins.errors import ConfigError

OPERATOR_VARIABLES = ("AIMM_PLUGINS_POLICY", "AIMM_PLUGINS_DENY")


def conf_or_default(conf: Conf) -> Conf:
    """The conf; where none is given, the file that `AIMM_PLUGINS_CONF` names, if it names one."""
    if conf is not None:
        return conf
    path = os.environ.get("AIMM_PLUGINS_CONF") or None
    try:
        if path is not None:
            os.stat(path)
    except FileNotFoundError as error:
        text = f"cannot be read: {error.strerror}; AIMM_PLUGINS_CONF names it"
        raise ConfigError(text, file=path) from None
    except OSError:  # which reading it tells
        pass
    return path


def operator_layers() -> tuple[Config, ...]:
    """The rules that the environment sets, which no conf can widen.

    `AIMM_PLUGINS_POLICY` names a file as in `schemas/policy.yaml`; `AIMM_PLUGINS_DENY` holds
    requirements with commas between them, for one run.
    """
    layers = []
    path = os.environ.get("AIMM_PLUGINS_POLICY")
    if path:
        try:
            layers.append(read_policy(path))
        except ConfigError as error:
            if not isinstance(reason := error.__cause__, OSError):
                raise  # it tells what is wrong in the file
            text = f"cannot be read: {reason.strerror}; AIMM_PLUGINS_POLICY names it"
            raise ConfigError(text, file=path) from reason
    rules = _split_requirements(os.environ.get("AIMM_PLUGINS_DENY", ""))
    if rules:
        layers.append(denying(rules, "AIMM_PLUGINS_DENY"))
    return tuple(layers)


def _split_requirements(text: str) -> list[str]:
    """`a,b>=1,<2` as `["a", "b>=1,<2"]`: a piece that begins with an operator is no new name."""
    rules: list[str] = []
    for piece in text.split(","):
        stripped = piece.strip()
        if rules and stripped[:1] in ("<", ">", "=", "!", "~"):
            rules[-1] += f",{stripped}"
        elif stripped:
            rules.append(stripped)
    return rules
