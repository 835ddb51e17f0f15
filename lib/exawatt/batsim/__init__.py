"""Batsim's protocol: its files, and a simulator that plays its part against any scheduler.

The simulator (:mod:`~exawatt.batsim.simulator`, over ZeroMQ in :mod:`~exawatt.batsim.run`) speaks
the JSON protocol of Batsim 3 and 4, so that a scheduler written for Batsim, pybatsim's for
example, runs here without it. :mod:`~exawatt.batsim.workload` and
:mod:`~exawatt.batsim.platform_xml` read and write Batsim's files.

References
----------
.. [1] P.-F. Dutot et al., "Batsim: a Realistic Language-Independent Resources and Jobs
   Management Systems Simulator", JSSPP 2016.
"""
