#!/bin/sh
# Which programs that the tests run are missing on this machine: the names of Debian's packages, one a line.
set -u

need() { # package, program
    PATH="$PATH:/usr/sbin" command -v "$2" >/dev/null 2>&1 || echo "$1"
}

need git git
need git-lfs git-lfs
need nginx nginx
need openssl openssl
need chromium chromium
# Debian keeps the server outside of everybody's path.
command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || echo postgresql
