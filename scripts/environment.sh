#!/bin/sh
# Make or complete .venv, the environment of this repository: `scripts/environment.sh train,hub` for training models and
# serving them, `scripts/environment.sh dev` for tests and benchmarks on top. Safe to repeat; says what to do when
# something is missing.
set -u
cd "$(dirname "$0")/.."
extra=${1:-train,hub}
log=.venv/install.log

stop() { # cause, next step
    printf 'error: %s\n  → %s\n' "$1" "$2" >&2
    exit 1
}

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null 2>&1 || stop "there is no Python at PYTHON=$PYTHON." "Give a path or name that exists."
        recent "$PYTHON" || stop "PYTHON=$PYTHON is older than 3.11." "Give a Python of at least 3.11."
        return
    fi
    for PYTHON in python3 python3.13 python3.12 python3.11 python3.14 python; do
        recent "$PYTHON" && return
    done
    found=$(python3 --version 2>/dev/null || echo "no Python 3")
    stop "Python 3.11 or later is needed; this machine has $found." \
        "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python), or run make with PYTHON=/path/to/python."
}

# Runs a command with its output in the log; on a terminal the seconds go by, so that a long download is seen to live.
step() { # label, command…
    label=$1
    shift
    printf '  %s…' "$label"
    began=$(date +%s)
    "$@" >>"$log" 2>&1 &
    child=$!
    trap 'kill $child 2>/dev/null; printf "\n"; exit 130' INT TERM
    while kill -0 $child 2>/dev/null; do
        sleep 1
        [ -t 1 ] && printf '\r  %s… %s s' "$label" $(($(date +%s) - began))
    done
    wait $child
    status=$?
    trap - INT TERM
    [ -t 1 ] && printf '\r  %s…' "$label"
    printf ' %s s\n' $(($(date +%s) - began))
    return $status
}

pip_failed() {
    echo "error: pip could not install what is needed; it said:" >&2
    grep -E '^ *(ERROR|error)|No space left|No matching distribution|ConnectionError|NameResolution' "$log" | tail -5 | sed 's/^/    /' >&2
    if grep -qE 'No space left' "$log"; then
        echo "  → Free some disk space (about 2 GB are needed), then run this again." >&2
    elif grep -qE 'NewConnectionError|NameResolution|Failed to establish|ConnectTimeout|Network is unreachable|from versions: none|requested \(constraint\) torch' "$log"; then
        echo "  → The package index cannot be reached, or has no such version for this machine: check the connection, the proxy settings (HTTPS_PROXY) or the index" >&2
        echo "    (PIP_INDEX_URL, \`pip config list\`), then run this again; it goes on where it stopped." >&2
    else
        echo "  → The whole log is in $log. Running this again goes on where it stopped; \`make clean\` starts anew." >&2
    fi
    exit 1
}

# Not compiled: most files of these packages are never imported, and the others are compiled when they are.
pip_install() { .venv/bin/python -m pip install --disable-pip-version-check --no-input --no-compile --constraint constraints.txt "$@"; }

if ! { [ -x .venv/bin/python ] && recent .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    find_python
    rm -rf .venv
    mkdir .venv || stop "the folder .venv cannot be made here." "Check the folder's permissions and the free disk space."
    : >"$log"
    # The log lies in .venv, so the environment is made around it.
    if ! step "1/3 making the environment with $("$PYTHON" --version 2>&1)" "$PYTHON" -m venv .venv; then
        reason=$(grep -v '^$' "$log" | tail -3)
        rm -rf .venv
        stop "Python could not make an environment: $reason" \
            "Install its venv module (Debian, Ubuntu: apt install python3-venv), then run this again."
    fi
else
    : >"$log"
    echo "  1/3 the environment is there"
fi

if [ "$extra" = dev ]; then about="about two minutes, once"; else about="about a minute, once"; fi
step "2/3 installing torch ($about)" pip_install "$(grep '^torch==' constraints.txt)" || pip_failed
step "3/3 installing samovar[$extra] ($about)" pip_install --editable ".[$extra]" || pip_failed
