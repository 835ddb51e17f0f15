"""GB carbon intensity from its service: any range, mixes, regions, forecasts as issued.

:mod:`~exawatt.gridapi.client` asks, :mod:`~exawatt.gridapi.answers` reads,
:mod:`~exawatt.gridapi.history` puts ranges together, :mod:`~exawatt.gridapi.recording` keeps
forecasts as they are issued, and :mod:`~exawatt.gridapi.vintages` reads those as a
:class:`~exawatt.forecast.Forecast`.

>>> from exawatt.gridapi.client import Client
>>> from exawatt.gridapi.history import fetch
>>> with Client() as client:  # doctest: +SKIP
...     year = fetch(client, "intensity", start, end).table
"""
