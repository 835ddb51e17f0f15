# shellcheck shell=sh disable=SC2154
# For prolog.sh and epilog.sh, which set $here and $tag: settings, and the pseudonym of the job.

# Tell syslog, and stderr for slurmd's log.
say() {
    logger -s -t exawatt-telemetry -- "$1" || echo "exawatt-telemetry: $1" >&2
}

settings=${EXAWATT_SETTINGS:-/etc/exawatt/telemetry.conf}
if [ -e "$settings" ]; then
    # shellcheck source=/dev/null
    . "$settings"
elif [ -n "${EXAWATT_SETTINGS:-}" ]; then
    say "EXAWATT_SETTINGS: $settings is not there; the defaults are taken"
fi
: "${EXAWATT_KEY:=/etc/exawatt/job-id.key}"
: "${EXAWATT_OUTPUT:=/var/lib/exawatt}"
: "${EXAWATT_RUN:=/run/exawatt}"
: "${EXAWATT_LOGGERS:=rapl nvml}"
: "${EXAWATT_INTERVAL:=1}"
: "${EXAWATT_RAPL_OPTIONS:=}"
: "${EXAWATT_NVML_OPTIONS:=}"
: "${EXAWATT_PYTHON:=python3}"

# Print the pseudonym of the job, which is all that is ever written of it.
job_tag() {
    timeout 5 "$EXAWATT_PYTHON" "$here/job_id.py" "$EXAWATT_KEY"
}

# Whether the logger of a pid file runs. Another process may have got its number.
running() {
    pid=$(cat "$1" 2>/dev/null) && grep -q "$tag" "/proc/$pid/cmdline" 2>/dev/null
}
