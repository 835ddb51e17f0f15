"""Embodied carbon: M = TE (TiR/EL) (RR/ToR) by hand, and what is refused."""

import pytest

import exawatt as ew


def test_the_stand_in_is_what_its_source_says() -> None:
    # Dell's sheet of the PowerEdge R740: 8,640 kgCO2e, of which manufacture 15.2 %.
    assert ew.Embodied().node_kgco2e == pytest.approx(0.152 * 8640, abs=1)
    assert ew.Embodied().label == "stand-in, 1313 kgCO2e a node over 5 years"
    assert "stand-in" not in ew.Embodied(900).label


def test_a_share_by_hand() -> None:
    # Ten nodes at 1,000 kg and 20 GPUs at 100 kg: TE = 12,000 kg. A quarter of them, for 36.525
    # days of the 3,652.5 days of ten years: 12,000 / 100 / 4 = 30 kg.
    platform = ew.Platform.uniform(10, 40, gpus=20)
    made = ew.Embodied(1000, 100, lifetime_years=10)
    assert made.total_kgco2e(platform) == 12_000
    assert made.share_kgco2e(platform, 36.525 * 86_400, part=0.25) == pytest.approx(30, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"node_kgco2e": -1.0}, r"node_kgco2e\(=-1.0\)"),
        ({"gpu_kgco2e": float("inf")}, r"gpu_kgco2e\(=inf\)"),
        ({"lifetime_years": 0.0}, r"lifetime_years\(=0"),
        ({"lifetime_years": float("nan")}, r"lifetime_years\(=nan\)"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, float], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        ew.Embodied(**arguments)


@pytest.mark.parametrize("part", [-0.1, 1.1])
def test_a_part_of_a_machine_is_between_none_and_all(part: float) -> None:
    with pytest.raises(ValueError, match=f"part.={part}"):
        ew.Embodied().share_kgco2e(ew.Platform.uniform(1, 1), 1.0, part)


def test_tonnes_and_months_are_doubted() -> None:
    with pytest.warns(UserWarning, match=r"node_kgco2e\(=1.3\).*kilograms"):
        ew.Embodied(1.3)
    with pytest.warns(UserWarning, match=r"lifetime_years\(=60\)"):
        ew.Embodied(lifetime_years=60)
