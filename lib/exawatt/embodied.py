"""Embodied carbon: what making the machine emitted, spread over its life."""

from dataclasses import dataclass

from exawatt.platform import Platform
from exawatt.units import doubt, require

YEAR_S = 365.25 * 86400
#: Manufacture of one two-socket server: 15.2 % of 8,640 kgCO2e (Dell, PowerEdge R740, 2019).
STAND_IN_NODE_KGCO2E = 1313.0
#: One GPU, as assumed by Luccioni, Viguier and Ligozat (2023) for an A100.
STAND_IN_GPU_KGCO2E = 150.0


@dataclass(frozen=True)
class Embodied:
    r"""Embodied carbon of a machine's nodes and GPUs, and the life it is spread over.

    The default is a *stand-in*: no trace says what its machine was made of, so the figures are
    those of one server of 2019, whatever the machine. Network, storage and building are left out.

    Parameters
    ----------
    node_kgco2e, gpu_kgco2e : float
        Emitted by making one node without its GPUs, and one GPU [kgCO2e].
    lifetime_years : float
        Years of 365.25 days from first use to replacement.

    Notes
    -----
    .. math:: M = \mathrm{TE} \cdot \frac{\mathrm{TiR}}{\mathrm{EL}}
                             \cdot \frac{\mathrm{RR}}{\mathrm{ToR}}

    with total embodied emissions TE, time reserved TiR, expected lifespan EL, resources reserved
    RR and total resources ToR.

    References
    ----------
    .. [1] ISO/IEC 21031:2024, "Software Carbon Intensity (SCI) specification".
    .. [2] Dell, "Product carbon footprint: PowerEdge R740", 2019. Its sheets of comparable
       two-socket nodes imply 1,100 to 1,800 kgCO2e.
    .. [3] A. S. Luccioni, S. Viguier, A.-L. Ligozat, "Estimating the carbon footprint of BLOOM, a
       176B parameter language model", JMLR 24 (253), 2023.
    """

    node_kgco2e: float = STAND_IN_NODE_KGCO2E
    gpu_kgco2e: float = STAND_IN_GPU_KGCO2E
    lifetime_years: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what cannot be, and doubt tonnes or grams."""
        require("node_kgco2e", self.node_kgco2e)
        require("gpu_kgco2e", self.gpu_kgco2e)
        require("lifetime_years", self.lifetime_years)
        if self.lifetime_years == 0:
            raise ValueError("lifetime_years(=0) must be positive: pass years of use, such as 5.")
        likely = "it is in kilograms; a server comes to some 1,000, 1 t is 1000"
        doubt("node_kgco2e", self.node_kgco2e, 20, 100_000, likely)
        doubt("lifetime_years", self.lifetime_years, 0.5, 30, "it is in years")

    @property
    def label(self) -> str:
        """Figures and life, and whether they are the stand-in's."""
        default = Embodied()
        same = (self.node_kgco2e, self.gpu_kgco2e) == (default.node_kgco2e, default.gpu_kgco2e)
        figures = f"{self.node_kgco2e:g} kgCO2e a node over {self.lifetime_years:g} years"
        return f"stand-in, {figures}" if same else figures

    def total_kgco2e(self, platform: Platform) -> float:
        """Total embodied emissions of a machine, TE [kgCO2e]."""
        return platform.nodes * self.node_kgco2e + platform.gpus * self.gpu_kgco2e

    def share_kgco2e(self, platform: Platform, reserved_s: float, part: float = 1.0) -> float:
        """Emissions M for a part RR/ToR of a machine, reserved for so long [kgCO2e]."""
        require("reserved_s", reserved_s)
        require("part", part, most=1)
        lifetime_s = self.lifetime_years * YEAR_S
        return self.total_kgco2e(platform) * reserved_s / lifetime_s * part
