#!/bin/sh
# Create or refresh .venv from requirements.txt; does nothing when it is up to date.
# PYTHON=... chooses the interpreter; otherwise the newest of the usual names is taken.
set -eu
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv=.venv
stamp=$venv/installed.cksum
say() { printf '\n==> %s\n' "$*"; }
version_of() { "$1" -c 'import sys; print(*sys.version_info[:3], sep=".")' 2>/dev/null || true; }

# Contents, not times; and the folder, because an editable install remembers where it was made.
wanted=$(cat requirements.txt pyproject.toml "$0" | cksum; pwd)
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
can_make_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# A finished .venv is kept, unless the caller names another Python; an unfinished one has no stamp.
keep=no
if [ -f "$stamp" ] && new_enough $venv/bin/python; then
    if [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of $venv/bin/python)" ]; then
        if [ "$wanted" = "$(cat "$stamp")" ]; then exit 0; fi
        keep=yes
    fi
fi

chosen='' recent=''
for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3; do
    if new_enough "$candidate"; then
        recent=${recent:-$candidate}
        if can_make_venv "$candidate"; then chosen=$candidate; break; fi
    fi
    if [ -n "${PYTHON:-}" ]; then break; fi   # the caller's choice or nothing
done

if [ $keep = no ] && [ -z "$chosen" ]; then
    echo "make env cannot start. Missing:" >&2
    if [ -z "$recent" ]; then
        echo "  - Python 3.11 or newer${PYTHON:+ (PYTHON=$PYTHON is missing or older)}" >&2
    fi
    if [ -z "$recent" ] || ! can_make_venv "$recent"; then
        echo "  - its venv and ensurepip modules, which bring pip${recent:+ ($recent has none)}" >&2
    fi
    if command -v apt-get >/dev/null; then
        minor=$([ -n "$recent" ] && "$recent" -c 'import sys; print("%d.%d" % sys.version_info[:2])' || echo 3)
        if [ "$minor" = 3 ]; then packages="python3 python3-venv"; else packages="python$minor-venv"; fi
        echo "Install with:  sudo apt-get update && sudo apt-get install -y $packages" >&2
    elif command -v dnf >/dev/null; then
        echo "Install with:  sudo dnf install -y python3.12 python3.12-pip" >&2
    elif command -v brew >/dev/null; then
        echo "Install with:  brew install python@3.13" >&2
    else
        echo "Install Python 3.11 or newer with its venv module, or name one with PYTHON=..." >&2
    fi
    exit 1
fi

if [ $keep = yes ]; then
    rm "$stamp"
else
    say "Creating $venv with $chosen ($(version_of "$chosen"))"
    "$chosen" -m venv --clear $venv
fi
say "Installing requirements.txt ($(grep -c == requirements.txt) packages; a few minutes the first time)"
$venv/bin/python -m pip install -r requirements.txt
say "Installing pybatsim (by itself: it declares an older pyzmq than it works with)"
$venv/bin/python -m pip install --no-deps pybatsim==3.2.1
say "Installing exawatt from lib/ (editable)"
$venv/bin/python -m pip install --no-deps --no-build-isolation -e .
printf '%s\n' "$wanted" > "$stamp.new" && mv "$stamp.new" "$stamp"
say "Ready: $venv"
