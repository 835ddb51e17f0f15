"""The figure of starvation: markers that differ, and labels that cover nothing."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from exawatt.figures import baselines


def figure_and_guard() -> tuple[Figure, pd.DataFrame]:
    """Figure of policies along a line, and of a guard whose two shortest limits lie together."""
    names = list(baselines.policies())
    table = pd.DataFrame(
        {
            "trace": "A",
            "policy": names,
            "clairvoyant": ["clairvoyant" in name for name in names],
            "slowdown": np.linspace(40, 90, len(names)),
            "longest wait [h]": np.linspace(900, 70, len(names)),
        }
    )
    guard = pd.DataFrame(
        {
            "limit [h]": [12, 24, 48, None],
            "slowdown": [57.5, 54.0, 50.0, 40.0],
            "longest wait [h]": [83.0, 84.0, 120.0, 900.0],
        }
    )
    return baselines.starvation(table, {"A": guard}, "saf"), guard


def test_no_two_policies_have_the_same_marker() -> None:
    figure, _ = figure_and_guard()
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    backfilling = [line for line in lines if not line.get_label().startswith("saf+easy, guarded")]
    assert len(backfilling) == 12
    assert len({line.get_marker() for line in backfilling}) == 12
    pairs = {(str(line.get_color()), line.get_markerfacecolor() == "none") for line in backfilling}
    assert len(pairs) == 12


def test_labels_of_limits_do_not_cover_each_other() -> None:
    figure, guard = figure_and_guard()
    figure.draw_without_rendering()
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.texts] == ["12 h", "24 h", "48 h"]
    boxes = [text.get_window_extent() for text in axis.texts]
    assert not any(boxes[i].overlaps(boxes[j]) for i in range(3) for j in range(i))
    points = axis.transData.transform(guard.dropna()[["slowdown", "longest wait [h]"]].to_numpy())
    assert not any(box.contains(*point) for box in boxes for point in points)
