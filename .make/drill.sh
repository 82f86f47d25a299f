#!/bin/sh
# The main job: bring a disposable fleet up, drill it, render the report, say where to look, take the fleet down.
# Arguments: FLEET [MODE [ENVIRONMENT]]. Exit status: that of the verdict (0 = APPROVE).
set -u
fleet=$1
mode=${2:-replace}
environment=${3:-lab}
bin=.venv/bin
sudo=""
if grep -q 'kind: nspawn' "$fleet"; then
    sh .make/need.sh \
        systemd-container:systemd-nspawn:"endpoints are containers with a real systemd" \
        mmdebstrap:mmdebstrap:"builds the golden image of the endpoints" \
        zstd:zstd:"compresses backups" \
        attr:getfattr:"reads extended attributes" \
        iproute2:ip:"the bridge of the lab" \
        openssh-client:ssh-keygen:"host keys of the endpoints" || exit 2
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || { echo "The lab needs root: become root, or use FLEET=fixtures/fleets/tree.yml" >&2; exit 2; }
        sudo="sudo"
    fi
fi

take_down() { $sudo $bin/redrill lab down "$fleet"; }
trap 'take_down; exit 130' INT TERM
if ! $sudo $bin/redrill lab up "$fleet"; then
    take_down
    exit 6
fi
# Only a fleet that says of itself that it is a lab is drilled without a plan that somebody has read.
$sudo $bin/redrill run "$fleet" --mode "$mode" --environment "$environment"
status=$?
[ -z "$sudo" ] || sudo chown -R "$(id -u):$(id -g)" reports
take_down || status=7
trap - INT TERM

sh reports/render.sh reports/latest || true
exit $status
