"""Asks for the energy at every completion, and to be called at times of its own."""

from firstFit import FirstFit


class Asking(FirstFit):
    def onAfterBatsimInit(self):
        self.calls = [2.5, 7.0, 7.0, 40.0]

    def onJobSubmission(self, job):
        super().onJobSubmission(job)
        while self.calls:
            self.bs.wake_me_up_at(self.calls.pop(0))

    def onJobCompletion(self, job):
        super().onJobCompletion(job)
        self.bs.request_consumed_energy()

    def onReportEnergyConsumed(self, consumed_energy):
        self.say("energy", consumed_energy)

    def onRequestedCall(self):
        self.say("call")
