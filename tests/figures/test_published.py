"""Published tables, where their logs are not on the machine."""

import pandas as pd

from exawatt.figures.published import COLUMNS, spread_figure


def test_without_its_logs_the_figure_says_so() -> None:
    figure = spread_figure(pd.DataFrame(columns=COLUMNS), {})
    assert figure.axes[0].texts[0].get_text() == "None of its logs is on this machine."
