"""The instance of a model in a process of an environment, as its callers have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from aimm_plugins._dispatch.direct_call import call_of
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._values.actions import Action

if TYPE_CHECKING:
    from aimm_plugins._environments.process import PluginProcess

HELD: dict[int, Any] = {}
"""The instances in this process, by number, where it is a process of an environment."""


def held(number: int) -> Any:
    return HELD[number]


def restored(model_type: str, data: bytes) -> Any:
    """The instance of such bytes, made by whoever provides the model type here."""
    return _call("deserialize", model_type, data)


def _call(action: Action, model_type: str, given: Any) -> Any:
    """Call the plugin itself: an executor may be pickling, and would wait for itself."""
    provider = PROCESS.runtime.loaded_provider(action, model_type)
    return call_of(provider).call(given, None, (), {})


class EnvironmentInstance:
    """Stands for an instance that lives in a process of an environment.

    It is what `exec_instantiate`, `exec_fit` and `exec_deserialize` return for a plugin there, and
    what the other calls of the model type take. It lives as long as the handle. Pickling the handle
    serializes the instance by its plugin.

    Attributes:
        model_type: Key of the model.
        environment: Name of the environment.
        process: The process; its id.
    """

    __slots__ = ("__weakref__", "home", "model_type", "number")

    def __init__(self, model_type: str, home: PluginProcess, number: int) -> None:
        self.model_type, self.home, self.number = model_type, home, number

    @property
    def environment(self) -> str:
        """Name of the environment."""
        return self.home.environment

    @property
    def process(self) -> int:
        """Id of the process."""
        return self.home.pid

    def __repr__(self) -> str:
        return (
            f"<instance {self.number} of {self.model_type} in process {self.process} of "
            f"environment {self.environment}>"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"{self!r} has no attribute {name!r} here: it is in another process. Call it by "
            f"exec_fit, exec_predict and exec_serialize of {self.model_type}, whose plugin is in "
            f"environment {self.environment}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        data = _call("serialize", self.model_type, self)
        return restored, (self.model_type, bytes(data))

    def reduced_for(self, process: PluginProcess) -> tuple[Any, ...]:
        """How it is pickled for a process; a `TypeError` if it lives in another one."""
        if process is self.home:
            return held, (self.number,)
        raise TypeError(
            f"{self!r} cannot be used in process {process.pid} of environment "
            f"{process.environment}: exec_serialize gives its bytes, and exec_deserialize loads "
            "them there"
        )

    def __del__(self) -> None:
        self.home.let_go(self.number)
