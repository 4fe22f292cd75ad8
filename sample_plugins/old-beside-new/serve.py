"""Ask a model of an old scikit-learn and one of a new one, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sklearn import __version__ as new_version
from sklearn.datasets import load_wine

import aimm_plugins
from aimm_plugins import EnvironmentLost, exec_data_access, exec_fit, exec_instantiate, exec_predict

SAVED = Path("wine-forest.aimm")


def old_model(x: Any, y: Any) -> Any:
    """The old model as it was saved; fitted and saved where that was never done."""
    if not SAVED.exists():
        model = exec_fit("wine.forest", exec_instantiate("wine.forest", seed=7), None, x, y)
        SAVED.write_bytes(aimm_plugins.pack("wine.forest", model))
    return aimm_plugins.unpack(SAVED.read_bytes())[0]


def ask(models: dict[str, Any], wine: Any) -> Sequence[Any]:
    """What each model says of one wine; an old one that was lost is loaded again."""
    said = []
    for key, model in models.items():
        try:
            _, labels = exec_predict(key, model, None, wine)
        except EnvironmentLost:
            models[key] = aimm_plugins.unpack(SAVED.read_bytes())[0]
            _, labels = exec_predict(key, models[key], None, wine)
        said.append(labels[0])
    return said


def main() -> None:
    """Serve the wines that no model has learnt from."""
    aimm_plugins.initialize("plugins.yaml")
    x, y = load_wine(return_X_y=True)
    new = exec_fit("wine.classifier", exec_instantiate("wine.classifier"), None, x[::2], y[::2])
    models = {"wine.classifier": new, "wine.forest": old_model(x[::2], y[::2])}
    answers = [
        (ask(models, wine[None]), truth) for wine, truth in zip(x[1::2], y[1::2], strict=True)
    ]
    versions = (new_version, exec_data_access("wine.forest.version"))
    for place, (key, version) in enumerate(zip(models, versions, strict=True)):
        right = sum(said[place] == truth for said, truth in answers)
        print(f"{key}: scikit-learn {version}, {right} of {len(answers)} right")
    print(f"they differ in {sum(one != other for (one, other), _ in answers)}")
    print(f"the old one is {models['wine.forest']}")


if __name__ == "__main__":
    main()
