"""The report of one trace: `make plot`."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import swf_row

pytest.importorskip("papermill", reason="make plot needs the extra 'book'")

SCRIPT = Path(__file__).parents[1] / "scripts" / "plot_report.py"


@pytest.mark.slow
def test_a_report_of_minutes_speaks_of_minutes(write_swf_text: Callable[..., Path]) -> None:
    spec = importlib.util.spec_from_file_location("plot_report", SCRIPT)
    assert spec is not None and spec.loader is not None
    plot_report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plot_report)
    rows = [swf_row(job, submit_s=10 * job, runtime_s=90, procs=10) for job in (1, 2, 3)]
    notebook = plot_report.run_chapter(write_swf_text(*rows, name="short.swf"))
    page = plot_report.to_html(notebook, "short")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    # 5 nodes busy for 270 s: 71.5 Wh. The waits are 0, 80 and 160 s.
    assert "submitted within 20 s" in text
    assert "they wait 1.33 min on average and 2.67 min at the most" in text
    assert "that takes 71.5 Wh" in text
    assert "The course under EASY" in text
    assert "carbon of each half-hour of the trace" in text
