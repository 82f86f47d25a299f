#!/bin/sh
# All self-tests: unit, property, contract, plugin, packaging, and the system tests that boot real endpoints.
set -eu
sh .make/need.sh \
    systemd-container:systemd-nspawn:"endpoints are containers with a real systemd" \
    mmdebstrap:mmdebstrap:"builds the golden image of the endpoints" \
    zstd:zstd:"compresses backups" \
    restic:restic:"backups as their owners make them" \
    borgbackup:borg:"backups as their owners make them" \
    rsync:rsync:"backups as their owners make them" \
    libarchive-tools:bsdtar:"writes archives as other systems do" \
    attr:getfattr:"reads extended attributes" \
    acl:setfacl:"makes hard cases for the manifests" \
    busybox-static:busybox:"is all that a small endpoint has" \
    iproute2:ip:"the bridge of the lab" \
    openssh-client:ssh-keygen:"host keys of the endpoints" \
    openssh-server:sshd:"a real peer for the machine layer" \
    strace:strace:"lets a disk fail at a chosen moment" \
    aide:aide:"a witness of what was changed on an endpoint" \
    debsums:debsums:"another one" \
    rpm:rpmbuild:"makes a system of packages for the oracle of rpm" \
    ostree:ostree:"makes a system of commits for the oracle of ostree" \
    postgresql:/usr/lib/postgresql/15/bin/initdb:"locks that several controllers share" \
    redis-server:redis-server:"is asked for its health" \
    dnsmasq-base:dnsmasq:"is asked for its health" \
    sqlite3:sqlite3:"writes canaries where Python is not the only tool" \
    nodejs:node:"renders the HTML report" \
    npm:npm:"installs what renders the HTML report" \
    chromium:chromium:"opens the HTML report as a reviewer would"
exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
