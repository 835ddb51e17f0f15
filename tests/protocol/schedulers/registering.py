"""Registers profiles and jobs of its own, resubmits one, and says when it is done."""

from firstFit import FirstFit


class Registering(FirstFit):
    def onSimulationBegins(self):
        super().onSimulationBegins()
        self.resubmitted = False

    def onNoMoreJobsInWorkloads(self):
        self.bs.register_profiles("dyn", {"short": {"type": "delay", "delay": 3.0}})
        job = self.bs.register_job("dyn!one", 2, 9.0, "short")
        self.bs.set_job_metadata("dyn!one", "made here")
        if not self.bs.ack_of_dynamic_jobs:
            self.queue.append(job)
        self.bs.notify_registration_finished()
        self.bs.notify_registration_continue()

    def onJobSubmission(self, job):
        super().onJobSubmission(job)
        self.say("submitted", job.id, job.profile_dict)

    def onJobCompletion(self, job):
        super().onJobCompletion(job)
        self.say("completed", job.id, job.job_state.name)
        if job.id == "dyn!one":
            self.bs.notify_registration_finished()
