#!/usr/bin/env bash
# Official SDKs of Aliyun Log Service against the test Logstore, to show that it is believable to others than ourselves:
#
#     tests/witness/sls.sh [python|go]
#
# Installs the SDKs in a cache folder, starts the test Logstore and makes it their HTTP proxy. An SDK that can't be had is a
# SKIP line with its reason; with CI=true it is a failure.
set -uo pipefail
cd "$(dirname "$0")/../.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/splashdam/target}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/splashdam/witness
only=${1:-}
mkdir -p "$cache"
scratch=$(mktemp -d)
server=
trap '[ -n "$server" ] && kill "$server" 2>/dev/null; rm -rf "$scratch"' EXIT

result=0
skipped=()
skip() {  # WHAT REASON
  echo "SKIP $1: $2"
  skipped+=("$1: $2")
  [ "${CI:-}" = true ] && result=1
}

wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }

python_sdk() { tests/witness/python.sh -c 'import aliyun.log'; }

go_sdk() {
  command -v go >/dev/null || { echo "go is not installed"; return 1; }
  (cd tests/witness/sls-go && go build -o "$cache/sls-go" .)
}

witness() {  # NAME INSTALL COMMAND...
  local name=$1 install=$2
  shift 2
  wanted "$name" || return
  if ! $install >"$scratch/install" 2>&1; then
    skip "$name" "$(tail -n 3 "$scratch/install" | tr '\n' ' ')"
    return
  fi
  # The proxy must also serve hosts that a user's no_proxy would exempt.
  env -u no_proxy -u NO_PROXY http_proxy="$url" HTTP_PROXY="$url" "$@" || { echo "$name: FAILED"; result=1; }
}

cargo build --locked --quiet -p e2e --bin logstore || exit 1
"$CARGO_TARGET_DIR/debug/logstore" --listen 127.0.0.1:0 --shards 4 >"$scratch/said" 2>"$scratch/errors" &
server=$!
for _ in $(seq 100); do
  url=$(head -n 1 "$scratch/said")
  [ -n "$url" ] && break
  sleep 0.1
done
[ -n "$url" ] || { echo "the test Logstore did not start"; cat "$scratch/errors"; exit 1; }

witness python python_sdk tests/witness/python.sh tests/witness/sls.py
witness go go_sdk "$cache/sls-go"

# What the server itself saw: consumers that worked on a shard that was given to another.
sleep 1
if grep '^CONFLICT' "$scratch/said"; then
  result=1
fi
if [ "$result" != 0 ]; then
  echo "the server's last words:"
  tail -n 30 "$scratch/said" "$scratch/errors"
fi
[ ${#skipped[@]} -gt 0 ] && printf 'SKIPPED: %s\n' "${skipped[@]}"
[ "$result" = 0 ] && echo "witnesses: all that ran is well" || echo "witnesses: FAILED"
exit "$result"
