"""Kills every job three seconds after its start, whether it still runs or not."""

from firstFit import FirstFit


class Killing(FirstFit):
    def onSimulationBegins(self):
        super().onSimulationBegins()
        self.kills = []

    def onNoMoreEvents(self):
        waiting = set(self.queue)
        super().onNoMoreEvents()
        for job in sorted(waiting - set(self.queue), key=lambda job: job.id):
            self.kills.append(job)
            self.bs.wake_me_up_at(self.bs.time() + 3)

    def onRequestedCall(self):
        self.bs.kill_jobs([self.kills.pop(0)])

    def onJobCompletion(self, job):
        super().onJobCompletion(job)
        self.say("completed", job.id, job.job_state.name, job.return_code)

    def onJobsKilled(self, jobs):
        for job in jobs:
            self.say("killed", job.id, job.progress)
