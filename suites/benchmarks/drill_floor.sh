#!/bin/bash
# The floor of a drill: what a careful administrator's script does with plain tools, for all endpoints at once.
#   drill_floor.sh lean|whole offline|live FOLDER      FOLDER/*.env: one file an endpoint, written by floor.py
# 'whole' does the work that a drill does: manifests before, after the restore and after recovery, each compared, and
# the archive read again before anything is destroyed. 'lean' only saves, destroys and restores. One line a phase.
set -euo pipefail
export LC_ALL=C
EVIDENCE=$1 WAY=$2 FOLDER=$3
VOLATILE="./proc ./sys ./dev ./run ./tmp"

# Reads a tree below the working directory into files: facts, digests of both slots of xargs, attributes.
MANIFEST='
manifest() {
    out=$1; shift
    find "$@" "(" -type d -printf "%p\t%y %m %U %G %T@\0" -o -printf "%p\t%y %m %U %G %s %T@ %n\t%l\0" ")" >"$out.facts"
    : >"$out.0" >"$out.1"
    find "$@" -type f -print0 | OUT=$out xargs -0 -r -P 2 -n 200 --process-slot-var=SLOT \
        sh -c '\''exec sha256sum -z -- "$@" >>"$OUT.$SLOT"'\'' sh
    find "$@" -print0 | xargs -0 -r -n 2000 getfattr -h -d -m - -e hex --absolute-names -- >"$out.xattrs"
    cat "$out.facts" "$out.0" "$out.1" "$out.xattrs"; rm -f "$out".*
}'
STATE_MANIFEST="$MANIFEST; manifest \"\$OUT\" home etc var -xdev"
SYSTEM_MANIFEST="$MANIFEST; manifest \"\$OUT\" . -xdev \
    $(for path in ./home ./etc ./var $VOLATILE; do printf -- '-path %s -prune -o ' "$path"; done)"

phase() { # what the endpoint has been doing since the last call
    local now=$EPOCHREALTIME
    awk -v name="$NAME" -v what="$1" -v a="$SINCE" -v b="$now" 'BEGIN {printf "%s\t%s\t%.3f\n", name, what, b - a}'
    SINCE=$now
}

remote() {
    ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$WORK/known_hosts" \
        -o IdentitiesOnly=yes -i "$KEY" -o ConnectTimeout=2 -o ServerAliveInterval=1 -o ServerAliveCountMax=2 \
        -o LogLevel=ERROR -o ControlMaster=auto -o ControlPersist=yes -o ControlPath="$WORK/master" "root@$ADDRESS" "$@"
}
drop_master() { ssh -F none -o ControlPath="$WORK/master" -O exit "root@$ADDRESS" 2>/dev/null || true; }
trust() { awk -v host="$ADDRESS" '{print host, $1, $2}' "$MERGED"/etc/ssh/ssh_host_*_key.pub >"$WORK/known_hosts"; }

wait_for_ssh() { # the short time-out keeps the kernel's one-second retry out of the figure
    until timeout 0.1 bash -c ": </dev/tcp/$ADDRESS/22" 2>/dev/null; do sleep 0.01; done
    until remote true 2>/dev/null; do sleep 0.02; done
}

observe() { # observe MOMENT: what is on the endpoint now, sorted
    remote "cd /; OUT=/run/floor-manifest; $STATE_MANIFEST" | sort -z >"$WORK/$1.state"
    remote "cd /; OUT=/run/floor-manifest; $SYSTEM_MANIFEST" | sort -z >"$WORK/$1.system"
}
differ() { comm -z -3 "$WORK/$1" "$WORK/$2" | tr -cd '\0' | wc -c >"$WORK/differ.$1.$2"; }

save() {
    remote "{ [ -z '$UNITS' ] || systemctl stop $UNITS; } && journalctl --rotate --quiet && journalctl --sync --quiet"
    remote "cd / && $TAR_CREATE -cf - home etc var 2>/dev/null | zstd -q -1 -c" >"$WORK/archive.tar.zst"
    sync "$WORK/archive.tar.zst"
}
check_archive() { # digest of the archive, every member's header, in one reading
    zstd -dc "$WORK/archive.tar.zst" | tee >(sha256sum >"$WORK/archive.sha256") | tar -tvf - >"$WORK/archive.list"
}

destroy() {
    local leader
    leader=$(find "$BOX" -name cgroup.procs -exec cat {} + | sed 's|.*|/proc/&/status|' |
        xargs awk '/^NSpid:/ && NF == 3 && $3 == 1 {split(FILENAME, part, "/"); print part[3]}' 2>/dev/null || true)
    xargs -r kill -9 <"$KEEPER/cgroup.procs" 2>/dev/null || true
    kill -9 "$leader"
    while [ -e "/proc/$leader" ]; do sleep 0.01; done
    ip link delete "$LINK" 2>/dev/null || true
    umount -l "$MERGED"
    mkdir -p "$TRASH"
    mv "$TREE" "$TRASH/$NAME-$$-$RANDOM"
    rm -rf --one-file-system "$TRASH/$NAME-"* </dev/null >/dev/null 2>&1 &
}
deploy() {
    mkdir -p "$TREE/upper" "$TREE/work" "$MERGED"
    mount -t overlay overlay -o "lowerdir=$GOLDEN,upperdir=$TREE/upper,workdir=$TREE/work,volatile" "$MERGED"
    ssh-keygen -q -t ed25519 -N '' -C "root@$NAME" -f "$MERGED/etc/ssh/ssh_host_ed25519_key"
    echo "$NAME" >"$MERGED/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost\n' "$NAME" >"$MERGED/etc/hosts"
    mkdir -p "$MERGED/etc/systemd/network" "$MERGED/etc/ssh/authorized_keys.d"
    cp "$NETWORK" "$MERGED/etc/systemd/network/10-host0.network"
    cp "$KEY.pub" "$MERGED/etc/ssh/authorized_keys.d/root"
}
restored_manifest() { # where the restored trees are: here, or there
    if [ "$WAY" = offline ]; then
        (cd "$MERGED" && OUT=$WORK/part sh -c "$STATE_MANIFEST") | sort -z >"$WORK/restored.state"
    else
        remote "cd /; OUT=/run/floor-manifest; $STATE_MANIFEST" | sort -z >"$WORK/restored.state"
    fi
    differ before.state restored.state
}

restore_offline() {
    zstd -dc "$WORK/archive.tar.zst" | (cd "$MERGED" && eval "$TAR_EXTRACT -xpf -")
    phase restore
    if [ "$EVIDENCE" = whole ]; then restored_manifest; phase 'verify restore'; fi
    trust
    sh "$START"
}
restore_live() {
    trust
    sh "$START"
    wait_for_ssh
    phase 'first boot'
    remote "systemctl stop $UNITS systemd-journal-flush.service 2>/dev/null; journalctl --relinquish-var;
        cd / && zstd -dc | $TAR_EXTRACT -xpf -" <"$WORK/archive.tar.zst"
    phase restore
    if [ "$EVIDENCE" = whole ]; then restored_manifest; phase 'verify restore'; fi
    remote "systemd-run --quiet --on-active=0.05 --timer-property=AccuracySec=1ms systemctl reboot"
    drop_master
    trust # only the next boot shows the restored key
}

wait_for_application() {
    if [ -n "$URL" ]; then
        until [[ $(curl -fsS --max-time 5 "$URL" 2>/dev/null) == *"$EXPECT"* ]]; do sleep 0.05; done
    else
        until [[ $(remote "$HEALTH" 2>/dev/null) == *"$EXPECT"* ]]; do sleep 0.05; done
    fi
}

drill() {
    . "$1"
    WORK=$FOLDER/$NAME SINCE=$EPOCHREALTIME
    rm -rf "$WORK"
    mkdir -p "$WORK"
    trust
    remote true
    phase connect
    if [ "$EVIDENCE" = whole ]; then observe before; phase observe; fi
    save
    phase 'back up'
    if [ "$EVIDENCE" = whole ]; then check_archive; phase 'verify backup'; fi
    drop_master
    destroy
    deploy
    phase redeploy
    "restore_$WAY"
    wait_for_ssh
    if [ "$EVIDENCE" = whole ]; then remote systemctl is-system-running --wait >"$WORK/system" || true; fi
    wait_for_application
    phase settle
    if [ "$EVIDENCE" = whole ]; then
        observe after
        differ before.state after.state
        differ before.system after.system
        phase 'observe after'
    fi
    drop_master
    echo whole >"$WORK/done"
}

for file in "$FOLDER"/*.env; do
    drill "$file" &
done
wait
for file in "$FOLDER"/*.env; do
    [ -e "${file%.env}/done" ] || { echo "${file%.env}: the floor's drill did not come to its end" >&2; exit 1; }
done
