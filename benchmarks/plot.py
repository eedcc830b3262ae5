"""The picture of how the cost of waiting grows with the number of runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

AXES = {"requests": "requests", "cpu_s": "CPU seconds", "memory_mb": "memory added, MB"}


def plot_growth(results: Mapping[str, Mapping[int, Mapping[str, Any]]], path: Path) -> None:
    """
    Draw requests, CPU and memory by number of runs.

    :param results: by contender and number of runs.
    :param path: of the PNG.
    """
    figure, axes = pyplot.subplots(1, len(AXES), figsize=(12, 4), layout="constrained")
    for axis, (key, title) in zip(axes, AXES.items(), strict=True):
        for name, rows in results.items():
            sizes = sorted(rows)
            axis.plot(
                sizes,
                [rows[size][key] for size in sizes],
                marker="o",
                linestyle="--" if name == "floor" else "-",
                label=name,
            )
        axis.set(xscale="log", yscale="log", xlabel="runs that wait", title=title)
        axis.grid(visible=True, alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=100)
