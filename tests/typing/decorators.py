"""Read by mypy and pyright, never run: decorators keep the type of what they decorate."""

from __future__ import annotations

from typing import Any, assert_type

import aimm_plugins
from aimm_plugins import StateCallback


@aimm_plugins.fit(["m"], state_cb_arg_name="state_cb")
def learn(model: list[float], x: float, *, epochs: int = 1, state_cb: StateCallback) -> list[float]:
    return [*model, x * epochs]


@aimm_plugins.serialize(["m"])
def save(model: list[float]) -> bytes:
    return bytes(len(model))


@aimm_plugins.model
class Bare(aimm_plugins.Model):
    def fit(self, x: float) -> Bare:
        return self

    def predict(self, x: float) -> float:
        return x

    def serialize(self) -> bytes:
        return b""

    @classmethod
    def deserialize(cls, instance_bytes: bytes) -> Bare:
        return cls()


@aimm_plugins.model(model_type="named", state_cb_arg_name="cb")
class Named(Bare):
    pass


def ignore(state: dict[str, Any]) -> None: ...


assert_type(learn([1.0], 2.0, epochs=3, state_cb=ignore), list[float])
assert_type(save([1.0]), bytes)
assert_type(Bare().predict(1.0), float)
assert_type(Named(), Named)
learn([1.0], "2", state_cb=ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # wrong on purpose


@aimm_plugins.serialize(["m"])  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]  # wrong on purpose
def wrong(model: list[float]) -> str:
    return ""


aimm_plugins.fit("m")  # a str is a Sequence[str] to every type checker: refused when it runs
aimm_plugins.exec_predict("m", [1.0], 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # wrong on purpose
assert_type(aimm_plugins.initialize({"names": []}), aimm_plugins.Report)
