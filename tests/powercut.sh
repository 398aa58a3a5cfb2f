#!/usr/bin/env bash
# Pulls the plug: the agent's data on ext4 on a loop device, the device's image copied at a random instant as it was
# (what lies only in the page cache above it is not in the copy), the journal replayed, the agent started on it.
# Nothing that was acknowledged may be missing, nothing may be doubled. By hand, as root:
#
#     cargo build --release --workspace --bins && tests/powercut.sh [ROUNDS]
#
# The log files lie outside of the device: they are what survives.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-10}
[ "$(id -u)" = 0 ] || { echo "needs root: it mounts loop devices" >&2; exit 2; }
target=${CARGO_TARGET_DIR:-$PWD/target}/release
work=$(mktemp -d /tmp/splashdam-powercut-XXXXXX)
mkdir -p "$work/live" "$work/after" "$work/logs"

null= agent= writer=
cleanup() {
  for pid in $agent $writer $null; do kill -9 "$pid" 2>/dev/null || true; done
  for folder in live after; do mountpoint -q "$work/$folder" && umount "$work/$folder"; done
  rm -rf "$work"
}
trap cleanup EXIT

device() {  # IMAGE FOLDER
  mount -o loop,commit=30 "$1" "$2"
}

tally() { curl -s --retry 5 --retry-all-errors --max-time 20 "$url/_null/tally/$1"; }
number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

bad=0
for round in $(seq "$rounds"); do
  rm -f "$work/logs"/* "$work/image" "$work/copy" "$work/url"
  truncate -s 700M "$work/image"
  mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$work/image"
  device "$work/image" "$work/live"
  "$target/bench" null --port 0 > "$work/url" & null=$!
  until [ -s "$work/url" ]; do sleep 0.05; done
  url=$(cat "$work/url")
  cat > "$work/power.toml" <<TOML
[source]
type = "file"
paths = ["$work/logs/*.log"]
[decode]
format = "raw"
[sink]
type = "elasticsearch"
endpoint = "$url"
index = "logs-power"
TOML
  "$target/bench" write --file "$work/logs/app.log" --rate 10 & writer=$!
  "$target/splashdam" run "$work/power.toml" --data-dir "$work/live/data" 2> "$work/first.log" & agent=$!
  sleep "$(awk -v r=$RANDOM 'BEGIN { printf "%.2f", 1.5 + r / 32768 * 3 }')"
  kill -STOP "$agent"
  sleep 0.05
  cp --sparse=always "$work/image" "$work/copy"
  kill -9 "$agent"; wait "$agent" 2>/dev/null || true
  kill "$writer"; wait "$writer" 2>/dev/null || true
  agent= writer=
  umount "$work/live"
  # The first agent's last requests are in. What the endpoint has now was acknowledged.
  acknowledged=$(tally 0 | number lines)
  device "$work/copy" "$work/after"
  if "$target/splashdam" run "$work/power.toml" --data-dir "$work/after/data" --once 2> "$work/second.log"; then
    lines=$(wc -l < "$work/logs/app.log")
    after=$(tally "$lines")
    missing=$(number missing <<< "$after") double=$(number double <<< "$after")
    echo "round $round: $lines lines, $acknowledged there at the cut, missing $missing, double $double, resent $(number resent <<< "$after")"
    [ "$missing$double" = 00 ] || bad=$((bad + 1))
  else
    echo "round $round: the agent did not open its data:"; tail -5 "$work/second.log"
    bad=$((bad + 1))
  fi
  umount "$work/after"
  kill -9 "$null" 2>/dev/null; wait "$null" 2>/dev/null || true
  null=
done
echo "power cut: $rounds rounds, $bad bad"
[ "$bad" = 0 ]
