#!/bin/sh
# Prolog of Slurm: start the loggers that work on this node for the job that begins here.
# It does not wait for them, and whatever goes wrong is told but never fails the job.

# Slurm sets no search path.
PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
export PATH
here=$(dirname "$(readlink -f "$0")")

start() {
    pid_file=$EXAWATT_RUN/$tag-$1.pid
    if running "$pid_file"; then
        return
    fi
    case $1 in
        rapl) options=$EXAWATT_RAPL_OPTIONS ;;
        nvml) options=$EXAWATT_NVML_OPTIONS ;;
        *) say "EXAWATT_LOGGERS: $1 must be rapl or nvml"; return ;;
    esac
    recording=$EXAWATT_OUTPUT/$1-$tag-$(uname -n)
    # A session of its own: slurmd kills what is left of the prolog's process group.
    # shellcheck disable=SC2016,SC2086  # expanded by the inner shell; options are words
    setsid sh -c '
        recording=$1 tag=$2 interval=$3
        shift 3
        if said=$("$@" --once 2>&1 >/dev/null); then
            exec "$@" --interval "$interval" --output "$recording.csv" --metadata "job=$tag" \
                2>>"$recording.log"
        fi
        logger -t exawatt-telemetry -- "not recording here: $said"
    ' sh "$recording" "$tag" "$EXAWATT_INTERVAL" \
        "$EXAWATT_PYTHON" "$here/../$1_logger.py" $options </dev/null >/dev/null 2>&1 &
    echo $! >"$pid_file"
}

# Make a directory that is closed to others. One that is there keeps its mode: it may be shared.
private() {
    if ! mkdir -p "$1"; then
        say "not recording: cannot make $1"
        return 1
    fi
    if ! open=$(find "$1/" -prune \( -perm /077 -o ! -user "$(id -u)" \)) || [ -n "$open" ]; then
        say "not recording: $1 is open to others; close it (chown root, chmod 700), or set another"
        return 1
    fi
}

# In a subshell: an error in the settings must not become the prolog's.
(
    umask 077
    # shellcheck source-path=SCRIPTDIR source=common.sh
    . "$here/common.sh"
    if ! tag=$(job_tag); then
        say "not recording: no pseudonym for the job"
        exit
    fi
    if ! { private "$EXAWATT_OUTPUT" && private "$EXAWATT_RUN"; }; then
        exit
    fi
    # The loggers need to know neither the job's number nor its user.
    for name in $(env | sed -n 's/^\(SLURM[A-Za-z0-9_]*\)=.*/\1/p'); do
        unset "$name"
    done
    for kind in $EXAWATT_LOGGERS; do
        start "$kind"
    done
)
exit 0
