"""Run the energy chapter on one trace and save it as one HTML page: make plot TRACE_PATH=..."""

import re
import sys
import tempfile
from pathlib import Path

import nbformat
import papermill
from nbconvert import HTMLExporter

from exawatt.readers.files import bare_name

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = ROOT / "chapters" / "backlog_energy_co2e.ipynb"

# nbconvert's page without the scripts that it would load from elsewhere.
TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}{{ super() }}
<style>
body { max-width: 56rem; margin: 0 auto; padding: 0 1rem; }
.jp-RenderedSVG svg, .jp-OutputArea-output img { max-width: 100%; height: auto; }
</style>
{%- endblock -%}
"""


def main(trace_path: str) -> str:
    """Write the report of a trace; return its path."""
    if not trace_path:
        raise SystemExit("TRACE_PATH is not set. Try: make plot TRACE_PATH=traces/my.swf")
    trace = Path(trace_path).expanduser().resolve()
    if not trace.is_file():
        raise SystemExit(f"TRACE_PATH={trace_path} is not a file.")
    report = ROOT / "_build" / "reports" / f"{bare_name(trace)}.html"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(to_html(run_chapter(trace), title=f"Energy report: {trace.name}"), "utf-8")
    return str(report)


def run_chapter(trace: Path) -> nbformat.NotebookNode:
    """Execute the chapter on this trace."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return papermill.execute_notebook(
                str(CHAPTER),
                str(Path(folder) / "report.ipynb"),
                parameters={"trace": str(trace)},
                cwd=str(CHAPTER.parent),
                kernel_name="python3",
                extra_arguments=["--IPKernelApp.log_level=ERROR"],  # no notes on its transport
            )
        except papermill.PapermillExecutionError as error:  # the library's own words are enough
            raise SystemExit(f"\nNo report for {trace.name}: {error.evalue}") from None


def to_html(notebook: nbformat.NotebookNode, title: str) -> str:
    """Convert to one page without code and without requests to other hosts."""
    glued = {
        output.metadata.scrapbook.name: text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "scrapbook" in output.get("metadata", {})
        for kind, text in output.data.items()
        if kind.endswith("text/plain")
    }
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, glued)
        else:  # the book shows glued values in the prose only
            shown = [o for o in cell.outputs if "scrapbook" not in o.get("metadata", {})]
            cell.outputs = [o for o in shown if o.get("name") != "stderr"]
    exporter = HTMLExporter(
        raw_template=TEMPLATE,
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        embed_images=True,
    )
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    return page


def plain_markdown(source: str, glued: dict[str, str]) -> str:
    """Replace the book's MyST roles and directives by plain Markdown."""

    def fill(match: re.Match[str]) -> str:
        key, _, spec = match[1].rpartition("::")[2].partition(":")
        value = glued.get(key, match[0]).strip("'\"")
        try:
            return format(float(value), spec) if spec else value
        except ValueError:
            return value

    # Glued tables are shown where their cell made them; of figures, the caption is still to come.
    source = re.sub(r"(?ms)^```\{glue:md\}.*?^```$", "", source)
    source = re.sub(r"(?ms)^```\{glue:figure\}[^\n]*\n(?::[^\n]*\n)*(.*?)^```$", r"\1", source)
    source = re.sub(r"\{glue:\w*\}`([^`]+)`", fill, source)
    source = re.sub(r"(?m)^\(\S+\)=\n", "", source)
    return re.sub(r"\[([^\]]+)\]\([^)]*\.(?:ipynb|md)\)", r"\1", source)


if __name__ == "__main__":
    print(f"The report is ready:\n{main(sys.argv[1])}")
