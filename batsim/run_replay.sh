#!/bin/sh
# Replay a configuration through pybatsim: run_replay.sh CONFIG [OPTIONS of exawatt batsim replay].
# Batsim plays the machine where it is on PATH, the project's own simulator elsewhere.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -eq 0 ]; then
    echo "usage: $0 CONFIG [--output DIR] [--own] [--json]; here are" "$here"/config_*.json >&2
    exit 2
fi
PATH=$here/../.venv/bin:$PATH
command -v exawatt >/dev/null || { echo 'exawatt is not installed: run make env first.' >&2; exit 1; }
exec exawatt batsim replay "$@"
