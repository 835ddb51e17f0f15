"""Answers what jobs ask."""

from firstFit import FirstFit


class Messaging(FirstFit):
    def onJobMessage(self, timestamp, job, message):
        self.say("message", job.id, message)
        self.bs.wake_me_up_at(self.bs.time() + 2)
        self.asking = job

    def onRequestedCall(self):
        self.bs.send_message_to_job(self.asking, "go on")

    def onJobCompletion(self, job):
        super().onJobCompletion(job)
        self.say("completed", job.id, job.job_state.name)
