#!/bin/sh
# Installs the Debian packages that are missing, after saying which and why. Arguments: PACKAGE:COMMAND:REASON, where
# COMMAND (a program, a path, or 'python:MODULE') tells whether the package is there. Exit 2 when it cannot be done.
set -eu
missing=""
is_there() {
    case "$1" in
    python:*) python3 -c "import ${1#python:}" 2>/dev/null ;;
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 ;;
    esac
}
for need in "$@"; do
    package=${need%%:*}
    rest=${need#*:}
    reason=${rest##*:}
    probe=${rest%:*}
    if ! is_there "$probe"; then
        echo "missing: $package ($reason)"
        missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "This is no Debian system. Install what gives the above ($missing ) with your package manager and try again." >&2
    exit 2
fi
if [ "$(id -u)" = 0 ]; then sudo=""; elif command -v sudo >/dev/null 2>&1; then sudo="sudo"; else
    echo "Installing packages needs root: run 'apt-get install$missing' as root and try again." >&2
    exit 2
fi
echo "installing:$missing"
$sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq || true
# shellcheck disable=SC2086  # a list of words
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null || exit 2
