"""One SVG chart a section: each ratio as a share of its target.

Run as a script by the Python that has matplotlib, with `results.json` and a folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
# Text stays text, and a chart of the same numbers is the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 9})

from matplotlib import pyplot  # noqa: E402  # after the choice of the backend

MET, MISSED = "#2a7f62", "#c0533a"
CLIP = 3.0  # targets; a ratio far beyond its target would hide all others


def draw(section: dict[str, Any], file: Path) -> None:
    """Draw a section's bars, with whiskers from quartile to quartile and a line at the target."""
    figures = [figure for figure in section["figures"] if "ratio" in figure]
    height = 0.9 + 0.42 * len(figures)
    canvas, axes = pyplot.subplots(figsize=(9, height), layout="constrained")
    for place, figure in enumerate(reversed(figures)):
        ratio, target = figure["ratio"], figure["target"]
        # A difference, and with it its ratio, may lie below zero; a bar begins at zero.
        lower, share, upper = (
            min(CLIP, max(0.0, ratio[name] / target))
            for name in ("lower_quartile", "median", "upper_quartile")
        )
        low, high = share - lower, upper - share
        axes.barh(
            place,
            share,
            xerr=[[low], [high]],
            color=MET if figure["met"] else MISSED,
            height=0.6,
            error_kw={"ecolor": "#444444", "elinewidth": 1, "capsize": 2},
        )
        axes.annotate(
            f"{ratio['median']:.3g} of {target:g}",
            (upper, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.axvline(1, color="#222222", linewidth=1, linestyle="--")
    axes.set_yticks(
        range(len(figures)), [figure["name"].replace("`", "") for figure in reversed(figures)]
    )
    axes.set_xlim(0, 1.18 * max(1.1, axes.get_xlim()[1]))
    axes.set_xlabel(
        "ratio as a share of its target; lower is better, the dashed line is the target"
    )
    axes.set_title(section["title"], loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    canvas.savefig(file, metadata={"Date": None, "Creator": None})
    pyplot.close(canvas)


def main(results: Path, folder: Path) -> None:
    """Draw all sections that have a figure."""
    for section in json.loads(results.read_text(encoding="utf-8"))["sections"]:
        if any("ratio" in figure for figure in section["figures"]):
            draw(section, folder / f"{section['name']}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
