#!/bin/sh
# Makes the user and the group, which own files of the package. Called by dpkg (install, upgrade) and by rpm (1, 2).
set -e
# Installed again after a removal dpkg names an old version, too, as at an upgrade: what was removed is to start.
[ "$1" = install ] && touch /run/splashdam.starts || true
if command -v systemd-sysusers >/dev/null; then
    # The package's own file is not there yet.
    echo 'u splashdam - "Splashdam log shipper" /var/lib/splashdam' |
        systemd-sysusers --replace=/usr/lib/sysusers.d/splashdam.conf -
elif ! getent passwd splashdam >/dev/null; then
    useradd --system --user-group --home-dir /var/lib/splashdam --no-create-home --shell /usr/sbin/nologin splashdam
fi
