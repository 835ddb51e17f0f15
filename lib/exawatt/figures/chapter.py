"""What every chapter does first and last: choose its traces, and hand results to the prose."""

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from myst_nb import glue

from exawatt.intensity import Intensity
from exawatt.platform import Platform
from exawatt.readers.catalog import StandInWarning, catalog, load, load_intensity
from exawatt.workload import Workload

EFFORTS = ("full", "quick", "test")
#: The traces that the thesis follows from the log to the carbon.
THESIS_TRACES = ("KTH-SP2", "LLNL-Thunder")
THESIS_INTENSITY = "GB-2023"


def begin(trace: str = "", effort: str = "") -> list[Workload]:
    """Set the figure style, and load the traces that a chapter follows.

    Parameters
    ----------
    trace : str
        A catalog name or a path; empty for the traces of the thesis.
    effort : {"full", "quick", "test", ""}
        At ``test`` the committed tiny trace takes the place of the thesis' traces, so that
        outputs are the same everywhere. Empty for $EXAWATT_EFFORT, else ``full``.

    Returns
    -------
    list of Workload
        No trace twice.
    """
    set_style()
    # The note of `put_provenance` says it where readers see it.
    warnings.simplefilter("ignore", StandInWarning)
    if trace:
        return [load(trace, strict=False)]
    names = ("tiny",) if effort_of(effort) == "test" else THESIS_TRACES
    found = {workload.name: workload for workload in map(load, names)}
    return list(found.values())


def effort_of(effort: str = "") -> str:
    """Effort that is asked for, by argument or by $EXAWATT_EFFORT.

    Raises
    ------
    ValueError
        It is none of full, quick and test.
    """
    chosen = effort or os.environ.get("EXAWATT_EFFORT") or "full"
    if chosen not in EFFORTS:
        raise ValueError(f"effort(={chosen!r}) is unknown; pass one of {', '.join(EFFORTS)}.")
    return chosen


def thesis_intensity(effort: str = "") -> Intensity:
    """Carbon intensity that the chapters lay their traces on."""
    return load_intensity("tiny" if effort_of(effort) == "test" else THESIS_INTENSITY)


def platform_of(name: str, workload: Workload) -> Platform:
    """Platform of a chapter's parameter.

    Raises
    ------
    ValueError
        The name is unknown.
    """
    if name != "stand-in":
        raise ValueError(f"platform(={name!r}) is unknown; pass 'stand-in'.")
    return Platform.stand_in(workload)


def catalogued(effort: str = "") -> list[Workload]:
    """Every SWF log of the catalog that is on this machine, and the traces of the thesis.

    Only the tiny one at effort ``test``.
    """
    if effort_of(effort) == "test":
        return [load("tiny")]
    return [
        load(entry.name)
        for entry in catalog("traces").values()
        if entry.tier != "tiny"
        and ".swf" in entry.file
        and (entry.find() or entry.name in THESIS_TRACES)
    ]


def set_style() -> None:
    """Vector figures, a palette that colour-blind readers can tell apart, plain axes."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    mpl.rcParams.update(
        {
            "figure.constrained_layout.use": True,
            "figure.figsize": (7.2, 3.6),
            "figure.dpi": 100,
            "font.size": 10,
            "axes.labelsize": 10,
            "axes.titlesize": 10,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.linewidth": 0.5,
            "svg.hashsalt": "exawatt",
            "svg.fonttype": "none",
        }
    )
    set_matplotlib_formats("svg", "pdf")


def put(**values: Any) -> None:
    """Hand values to the prose, which reads them as ``{glue:text}`key```."""
    for key, value in values.items():
        # The text of a NumPy number names its type, which no format understands.
        plain = value.item() if isinstance(value, np.generic) else value
        glue(key.replace("_", "-"), plain, display=False)


def put_figure(key: str, figure: Figure) -> None:
    """Hand a figure to a ``{glue:figure}`` directive, and show it where it was made."""
    glue(key, figure, display=False)
    display(figure)
    plt.close(figure)


def put_table(
    key: str,
    table: pd.DataFrame,
    caption: str,
    formats: Mapping[str, str | Callable[[Any], str]] | None = None,
) -> None:
    """Hand a table to a ``{glue:md}`` directive with a caption, and show it where it was made.

    Parameters
    ----------
    key : str
        Glue key, and the name for cross-references.
    table : DataFrame
        Its index is not shown.
    caption : str
        Names the traces that the numbers rest on.
    formats : mapping, optional
        Format specification, such as ``",.1f"``, or a function, by column.
    """
    formats = formats or {}
    shown = table.copy().astype(object)
    for name, form in formats.items():
        shown[name] = [_formatted(value, form) for value in table[name]]
    rows = [[str(name) for name in shown.columns]]
    rows += [["--:" if name in formats else ":--" for name in shown.columns]]
    if shown.empty:
        rows.append(["–"] * len(shown.columns))
    rows += [[str(value).replace("|", "\\|") for value in row] for row in shown.to_numpy()]
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    glue(key, Markdown(f":::{{table}} {caption}\n:name: {key}\n\n{text}\n:::"), display=False)
    display(Markdown(f"{caption}\n\n{text}"))


def nothing(text: str) -> Figure:
    """Figure that says why there is none."""
    figure, axis = plt.subplots(figsize=(7.2, 1.0))
    axis.text(0.5, 0.5, text, ha="center", va="center")
    axis.set_axis_off()
    return figure


def put_missing(key: str, needed: Iterable[str], labels: Iterable[str]) -> None:
    """Hand the prose a warning that a comparison lacks its traces; nothing where it has all.

    Parameters
    ----------
    key : str
        Glue key.
    needed : iterable of str
        Names of the traces whose published numbers are compared.
    labels : iterable of str
        Labels of the traces that were found and replayed.
    """
    needed, found = list(needed), {label.split(" ")[0] for label in labels}
    missing = [name for name in needed if name not in found]
    text = (
        f"The comparison of this section needs the real traces, as published: {', '.join(needed)}. "
        f"No twin can take their place, and this build has not replayed {', '.join(missing)}. What "
        "the text says of them holds where they are at hand; a dash stands for each number that "
        "is missing here. The data checklist says where their files belong; a build at full "
        "effort replays all that it finds."
    )
    block = f":::{{warning}}\n{text}\n:::" if missing else ""
    glue(key, Markdown(block), display=False)
    if missing:
        display(Markdown(f"*{text}*"))


def text(value: float, form: str) -> str:
    """Format a number for the prose; a dash where there is none."""
    return _formatted(value, form)


def _formatted(value: Any, form: str | Callable[[Any], str]) -> str:
    if callable(form):
        return form(value)
    return "–" if pd.isna(value) else format(value, form)


def generated_of(items: Iterable[Workload | Intensity]) -> str:
    """Sentence that names the generated ones, for captions; empty when there are none."""
    generated = [item.label for item in items if item.tier != "real"]
    return f"Generated: {'; '.join(generated)}." if generated else ""


def put_provenance(inputs: Iterable[Workload | Intensity]) -> None:
    """Hand the prose a note on what a chapter rests on; a warning where that was generated."""
    inputs = list(inputs)
    generated = [item.label for item in inputs if item.tier != "real"]
    listed = "; ".join(item.label for item in inputs)
    text = f"This page rests on {listed}. Where it sets generated data beside them, it says so."
    if generated:
        text = (
            f"Not real data. This page was built on {'; '.join(generated)}. Its figures and "
            "numbers show that the code runs, and say nothing about any real machine. Put real "
            "files where the catalog finds them (see the data checklist), and build again."
        )
    glue("data-note", text, display=False)
    kind = "warning" if generated else "note"
    glue("provenance", Markdown(f":::{{{kind}}}\n{text}\n:::"), display=False)
    display(Markdown(f"*{text}*"))
