#!/bin/sh
# Side-by-side measurements; every figure is a ratio of one run on one machine.
set -eu
sh .make/need.sh \
    systemd-container:systemd-nspawn:"endpoints are containers with a real systemd" \
    mmdebstrap:mmdebstrap:"builds the golden image of the endpoints" \
    zstd:zstd:"compresses backups" \
    attr:getfattr:"reads extended attributes" \
    iproute2:ip:"the bridge of the lab" \
    openssh-client:ssh:"the peer of the machine layer" \
    curl:curl:"asks the web server in the floor of the drill" \
    aide:aide:"the peer of the manifest" \
    rsync:rsync:"a peer of the restore" \
    restic:restic:"another one" \
    openssh-server:sshd:"where the latter finds its repository"
PYTHONPATH=suites exec .venv/bin/python suites/benchmarks/run.py "$@"
