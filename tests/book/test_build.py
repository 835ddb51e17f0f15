"""A real build of a tiny book with this book's configuration and extensions."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
TOC = """\
format: jb-book
root: index
parts:
  - caption: Thesis
    numbered: 2
    chapters:
      - file: chapters/07-carbon
"""
COUNTED = """\
from toy import answer
open("../runs.txt", "a").write("run ")
print("the answer is", answer())
"""

pytestmark = pytest.mark.slow


class Book:
    """A book of one chapter, built in a folder of its own."""

    def __init__(self, root: Path):
        self.root = root
        for name in ("_config.yml", "requirements.txt"):
            shutil.copy(ROOT / name, root)
        for name in ("_ext", "assets"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        (root / "_toc.yml").write_text(TOC)
        (root / "index.md").write_text("# A tiny book\n\n$E = mc^2$\n")
        (root / ".pytest_cache").mkdir()
        (root / ".pytest_cache" / "README.md").write_text("# No page of the book\n")
        (root / "lib").mkdir()
        (root / "chapters").mkdir()
        (root / "chapters" / "references.bib").write_text("")
        self.write_library(41)
        self.write_chapter(COUNTED)

    def write_library(self, value: int) -> None:
        (self.root / "lib" / "toy.py").write_text(f"def answer():\n    return {value}\n")

    def write_chapter(self, code: str) -> None:
        notebook = nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_markdown_cell("# Carbon", id="title"),
                nbformat.v4.new_code_cell(code, id="code"),
            ]
        )
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, self.root / "chapters" / "07-carbon.ipynb")

    def build(self) -> subprocess.CompletedProcess:
        program = Path(sys.executable).with_name("jupyter-book")
        return subprocess.run(
            [program, "build", ".", "-W", "-n", "--keep-going"],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root / "lib"), "EXAWATT_DATA": ""},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def runs(self) -> int:
        return (self.root / "runs.txt").read_text().count("run")

    @property
    def page(self) -> str:
        return (self.root / "_build" / "html" / "chapters" / "07-carbon.html").read_text("utf-8")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """Build a good book once; the tests below go on from there, in order."""
    made = Book(tmp_path_factory.mktemp("tiny book"))
    built = made.build()
    assert built.returncode == 0, built.stdout + built.stderr
    return made


def test_the_pages_exist_and_are_numbered_as_their_files(book):
    assert "the answer is 41" in book.page
    assert re.search(r'section-number">7\. ', book.page)
    assert book.runs == 1


def test_no_page_asks_another_host(book):
    pages = list((book.root / "_build" / "html").rglob("*.html"))
    loaded = r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"'
    assert pages
    assert [hit for page in pages for hit in re.findall(loaded, page.read_text("utf-8"))] == []
    assert (book.root / "_build/html/_static/vendor/mathjax-tex-svg-full.js").is_file()


def test_only_a_change_executes_the_chapter_again(book):
    before = book.runs
    assert book.build().returncode == 0
    assert book.runs == before

    book.write_library(42)
    assert book.build().returncode == 0
    assert book.runs == before + 1
    assert "the answer is 42" in book.page


def test_a_failing_cell_fails_every_build_until_it_is_mended(book):
    book.write_chapter("raise ValueError('no such trace')")
    for _ in range(2):
        failed = book.build()
        assert failed.returncode != 0
    logs = list((book.root / "_build" / "html" / "reports").rglob("*.err.log"))
    assert "no such trace" in logs[0].read_text()

    book.write_chapter(COUNTED)
    assert book.build().returncode == 0
