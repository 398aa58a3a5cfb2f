#!/usr/bin/env bash
# The tests against real Elasticsearch, OpenSearch and Flink, one server at a time:
#
#     tests/services.sh [FILTER]     e.g. tests/services.sh v8_19_21
#
# `SPLASHDAM_RECORD=1 tests/services.sh oracle::recorded` writes tests/flink/rows.jsonl anew, as Flink says.
#
# The scripts that start the servers are looked for in ../shared/services; SPLASHDAM_SERVICE_SCRIPTS names another
# folder. A server that can't be had is a SKIP line with its reason; with CI=true it is a failure unless the
# allow-list in tests/support/services.rs names it.
set -uo pipefail
cd "$(dirname "$0")/.."
export SPLASHDAM_SERVICES=1
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/splashdam/target}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

cargo test --locked -p e2e --test e2e "services::${1:-}" -- --test-threads=1 --nocapture 2>&1 | tee "$log"
result=${PIPESTATUS[0]}

echo
if grep -q '^SKIP' "$log"; then
  echo "SKIPPED:"
  grep '^SKIP' "$log"
fi
[ "$result" = 0 ] && echo "services: all that ran is well" || echo "services: FAILED"
exit "$result"
