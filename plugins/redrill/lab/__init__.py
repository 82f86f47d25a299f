"""The lab: real endpoints under systemd-nspawn on one machine."""
