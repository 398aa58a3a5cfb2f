#!/bin/sh
# Stops the service before its files go; an upgrade lets it run until the new one is there. Called by dpkg (remove,
# upgrade) and by rpm (0 erase, 1 upgrade).
set -e
case "$1" in
remove)
    [ -d /run/systemd/system ] && systemctl stop splashdam.service || true
    ;;
0)
    [ -d /run/systemd/system ] && systemctl stop splashdam.service || true
    # Without a running systemd, too: the link to a unit that is gone would stay.
    command -v systemctl >/dev/null && systemctl disable splashdam.service >/dev/null 2>&1 || true
    ;;
esac
