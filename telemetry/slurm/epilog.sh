#!/bin/sh
# Epilog of Slurm: end the loggers that the prolog started for this job.
# Whatever goes wrong is told but never drains the node.

# Slurm sets no search path.
PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
export PATH
here=$(dirname "$(readlink -f "$0")")

# Print the numbers of the job's loggers that still run.
left() {
    for pid_file in "$EXAWATT_RUN/$tag"-*.pid; do
        if running "$pid_file"; then
            cat "$pid_file"
        fi
    done
}

# In a subshell: an error in the settings must not become the epilog's.
(
    # shellcheck source-path=SCRIPTDIR source=common.sh
    . "$here/common.sh"
    if ! tag=$(job_tag); then
        say "loggers may be left running: no pseudonym for the job"
        exit
    fi
    signal=TERM
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        pids=$(left)
        if [ -z "$pids" ]; then
            break
        fi
        # shellcheck disable=SC2086  # one word a process
        kill -s $signal $pids 2>/dev/null
        signal=0
        sleep 0.2
    done
    pids=$(left)
    if [ -n "$pids" ]; then
        say "a logger did not end within 3 s and is killed"
        # shellcheck disable=SC2086
        kill -s KILL $pids 2>/dev/null
    fi
    rm -f "$EXAWATT_RUN/$tag"-*.pid
)
exit 0
