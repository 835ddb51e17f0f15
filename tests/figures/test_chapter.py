"""What chapters say of traces that a comparison lacks."""

import pytest

from exawatt.figures import chapter


@pytest.fixture
def glued(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what is handed to the prose, by key."""
    texts: dict[str, str] = {}
    monkeypatch.setattr(
        chapter, "glue", lambda key, value, display: texts.update({key: value.data})
    )
    monkeypatch.setattr(chapter, "display", lambda _: None)
    return texts


def test_a_comparison_names_the_traces_that_it_lacks(glued: dict[str, str]) -> None:
    chapter.put_missing("note", ["A", "B", "C"], ["B (01234567)", "A-raw (generated, 89abcdef)"])
    assert glued["note"].startswith(":::{warning}")
    assert "needs the real traces, as published: A, B, C." in glued["note"]
    assert "this build has not replayed A, C." in glued["note"]


def test_a_comparison_that_has_its_traces_says_nothing(glued: dict[str, str]) -> None:
    chapter.put_missing("note", ["A", "B"], ["B (01234567)", "A (89abcdef)"])
    assert glued == {"note": ""}
