#!/bin/sh
# After a removal positions and what is owed stay; a purge takes them and the configuration, all but the user (another
# must not come by its number). Called by dpkg (remove, purge, upgrade) and by rpm (0 erase, 1 upgrade).
set -e
[ -d /run/systemd/system ] && systemctl daemon-reload || true
if [ "$1" = purge ]; then
    command -v deb-systemd-helper >/dev/null && deb-systemd-helper purge splashdam.service >/dev/null || true
    rm -rf /var/lib/splashdam /etc/splashdam /run/splashdam
    rm -rf /etc/systemd/system/splashdam.service.d
fi
