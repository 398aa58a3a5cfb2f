#!/bin/sh
# Enables and starts the service at its first installation, and starts it anew at an upgrade if it runs; what the
# administrator has disabled or stopped stays so. Called by dpkg (configure OLD-VERSION) and by rpm (1 first, 2 upgrade).
set -e
unit=splashdam.service
running() { [ -d /run/systemd/system ]; }

command -v systemd-tmpfiles >/dev/null && systemd-tmpfiles --create splashdam.conf || true
running && systemctl daemon-reload || true

case "$1" in
configure)
    # Debian's own memory of what was enabled, across remove and install.
    if command -v deb-systemd-helper >/dev/null; then
        deb-systemd-helper unmask "$unit" >/dev/null || true
        if deb-systemd-helper --quiet was-enabled "$unit"; then
            deb-systemd-helper enable "$unit" >/dev/null || true
        else
            deb-systemd-helper update-state "$unit" >/dev/null || true
        fi
    fi
    act=try-restart
    if [ -z "$2" ] || [ -e /run/splashdam.starts ]; then act=start; fi
    rm -f /run/splashdam.starts
    # Not one that was disabled.
    if running && { [ "$act" = try-restart ] || systemctl --quiet is-enabled "$unit"; }; then
        systemctl "$act" "$unit" || true
    fi
    ;;
1)
    command -v systemctl >/dev/null && systemctl enable "$unit" >/dev/null 2>&1 || true
    running && systemctl start "$unit" || true
    ;;
2)
    running && systemctl try-restart "$unit" || true
    ;;
esac
