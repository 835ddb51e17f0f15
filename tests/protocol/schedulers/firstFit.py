"""First come, first served, on the lowest free hosts; the others here build on it."""

import json
from collections import deque

from batsim.batsim import BatsimScheduler
from procset import ProcInt, ProcSet


class FirstFit(BatsimScheduler):
    def onSimulationBegins(self):
        self.free = ProcSet(ProcInt(0, self.bs.nb_compute_resources - 1))
        self.queue = deque()

    def say(self, *what):
        """Leave a line for the test."""
        print(json.dumps([self.bs.time(), *what]), flush=True)

    def onJobSubmission(self, job):
        if job.requested_resources > self.bs.nb_compute_resources:
            self.bs.reject_jobs([job])
        else:
            self.queue.append(job)

    def onJobCompletion(self, job):
        self.free |= job.allocation

    def onJobsKilled(self, jobs):
        pass

    def onNoMoreEvents(self):
        starting = []
        while self.queue and self.queue[0].requested_resources <= len(self.free):
            job = self.queue.popleft()
            job.allocation = ProcSet(*self.free[: job.requested_resources])
            self.free -= job.allocation
            starting.append(job)
        self.bs.execute_jobs(starting)
