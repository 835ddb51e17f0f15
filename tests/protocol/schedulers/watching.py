"""Follows hosts that leave and return, and other external events."""

from firstFit import FirstFit


class Watching(FirstFit):
    def onNotifyEventMachineUnavailable(self, machines):
        self.say("unavailable", str(machines))
        self.free -= machines

    def onNotifyEventMachineAvailable(self, machines):
        self.say("available", str(machines))
        self.free |= machines

    def onNotifyGenericEvent(self, event_data):
        self.say("generic", event_data["type"])

    def onNoMoreExternalEvents(self):
        self.say("no more")

    def onJobCompletion(self, job):
        super().onJobCompletion(job)
        self.say("completed", job.id, str(job.allocation))
