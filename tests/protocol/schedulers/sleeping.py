"""Puts the idle hosts to sleep, wakes them for the next job, and slows one down."""

from firstFit import FirstFit
from procset import ProcSet


class Sleeping(FirstFit):
    def onJobSubmission(self, job):
        self.say("submitted", job.id)
        if job.id == "w0!0":
            super().onJobSubmission(job)
            self.bs.set_resource_state(ProcSet((2, 3)), 2)
        else:
            self.waiting = job
            self.bs.set_resource_state(ProcSet((2, 3)), 0)

    def onMachinePStateChanged(self, nodeid, pstate):
        self.say("pstate", *nodeid, pstate)
        if pstate == "0":
            self.queue.append(self.waiting)
            self.bs.set_resource_state(ProcSet(2), 1)

    def onRequestedCall(self):
        pass
