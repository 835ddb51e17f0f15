"""GB carbon intensity of any range to a file: what `exawatt carbon fetch` does, by itself.

python scripts/carbon_intensity_gb.py --from 2023-01-01 --to 2024-01-01 --output gb-2023.csv
"""

import typer

from exawatt.cli_carbon import carbon_fetch

if __name__ == "__main__":
    typer.run(carbon_fetch)
