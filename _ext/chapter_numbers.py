"""Number chapters as their files are named: ``chapters/07-carbon`` is chapter 7.

Sphinx counts pages, so that the number of a chapter would change when an earlier one is added. A
numbered page whose name has no number gets none.
"""

import re

from docutils import nodes
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles

_assign_section_numbers = TocTreeCollectorWithStyles.assign_section_numbers


def chapter_of(docname: str) -> int | None:
    """Return the chapter number in a page's name, or None."""
    match = re.fullmatch(r"chapters/(\d+)-.*", docname)
    return int(match[1]) if match else None


def _assign_named_numbers(self, env):
    before = env.toc_secnumbers
    _assign_section_numbers(self, env)
    for docname, numbers in env.toc_secnumbers.items():
        chapter = chapter_of(docname)
        for anchor, number in numbers.items():
            numbers[anchor] = _renumber(number, chapter)
        for node in (env.titles[docname], *env.tocs[docname].findall(nodes.reference)):
            node["secnumber"] = _renumber(node.get("secnumber"), chapter)
    return [doc for doc, now in env.toc_secnumbers.items() if now != before.get(doc)]


def _renumber(number, chapter):
    """Replace the first part of a section number; an empty one stays empty."""
    if not number or chapter is None:
        return ()
    return (chapter, *number[1:])


def setup(app):
    TocTreeCollectorWithStyles.assign_section_numbers = _assign_named_numbers
    return {"version": "0.1", "parallel_read_safe": True, "parallel_write_safe": True}
