"""What SIMULATION_BEGINS tells a scheduler of the platform, the workload and the options."""

from typing import TYPE_CHECKING

from exawatt.batsim.hosts import Hosts
from exawatt.batsim.job_file import JobFile
from exawatt.batsim.protocol import encode

if TYPE_CHECKING:
    from exawatt.batsim.simulator import Options


def greeting(workload: JobFile, hosts: Hosts, options: "Options") -> str:
    """Data of SIMULATION_BEGINS, as JSON."""
    forwarded = options.forward_profiles_on_submission
    return encode(
        {
            "nb_resources": len(hosts),
            "nb_compute_resources": len(hosts),
            "nb_storage_resources": 0,
            "allow_compute_sharing": False,
            "allow_storage_sharing": True,
            "config": {
                "redis-enabled": False,
                "redis-hostname": "127.0.0.1",
                "redis-port": 6379,
                "redis-prefix": "default",
                "profiles-forwarded-on-submission": forwarded,
                "dynamic-jobs-enabled": options.enable_dynamic_jobs,
                "dynamic-jobs-acknowledged": options.acknowledge_dynamic_jobs,
                "profile-reuse-enabled": False,
                "sched-config": "",
                "forward-unknown-events": options.forward_unknown_events,
            },
            "compute_resources": [
                {
                    "id": number,
                    "name": host.name,
                    "state": "idle",
                    "properties": {"role": ""} | host.properties,
                    "zone_properties": host.zone_properties,
                }
                for number, host in enumerate(hosts)
            ],
            "storage_resources": [],
            "workloads": {"w0": workload.path},
            "profiles": {"w0": {} if forwarded else workload.profiles},
        }
    )
