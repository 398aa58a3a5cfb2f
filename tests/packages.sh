#!/usr/bin/env bash
# The packages as an operator meets them: installed into a booted Debian with a real systemd, shipping to a real
# Elasticsearch, stopped, frozen, upgraded, downgraded, purged; the .rpm installed, upgraded and erased with its scripts;
# the static binaries in an empty chroot, and in the image that the Containerfile makes; the unit's hardening. By hand or in CI, as root:
#
#     tests/packages.sh
#
# It builds the static binaries (packaging/build-static) unless SPLASHDAM_BINARIES names a folder that has them, and the
# packages of them. The scripts that start the servers are looked for in ../shared/services; SPLASHDAM_SERVICE_SCRIPTS names another
# folder. What can't be had is a SKIP line with its reason; with CI=true it is a failure, but for
# what the list below names.
set -uo pipefail
cd "$(dirname "$0")/.."
services=${SPLASHDAM_SERVICE_SCRIPTS:-../shared/services}
target=${CARGO_TARGET_DIR:-$PWD/target}
binaries=${SPLASHDAM_BINARIES:-$target/x86_64-unknown-linux-gnu/release}
export SYSTEMD_HOST_NAME=splashdam-$$
work=$(mktemp -d /tmp/splashdam-packages-XXXXXX)
port=${SPLASHDAM_ES_PORT:-$((20000 + $$ % 10000))}
failed=() skipped=()

cleanup() {
  [ -n "${host_started:-}" ] && "$services/systemd-host" reset >/dev/null 2>&1
  [ -n "${proxy_started:-}" ] && "$services/https-proxy" stop --port "$secure" --data "$work/proxy" >/dev/null 2>&1
  [ -n "${es_started:-}" ] && "$services/elasticsearch" stop --port "$port" --data "$work/es" >/dev/null 2>&1
  rm -rf "$work"
}
trap cleanup EXIT

# What a machine may lack by its nature: the right to boot a container, a way to the tool that packs. Only these may be
# skipped in CI.
may_be_skipped=("packages" "manual pages" ".rpm" "a container" "a stuck pipeline" "the unit's exposure" "the .deb in a booted Debian")
skip() {
  echo "SKIP $1: $2"
  skipped+=("$1")
  [ "${CI:-}" = true ] || return 0
  local name
  for name in "${may_be_skipped[@]}"; do [ "$name" != "$1" ] || return 0; done
  failed+=("$1 is missing in CI: $2")
}
begin() { printf '\n==> %s\n' "$1"; }
ok() { echo "    ok: $1"; }
bad() { echo "    FAILED: $1"; failed+=("$1"); }
must() { local what=$1; shift; if "$@" >"$work/said" 2>&1; then ok "$what"; else bad "$what"; sed 's/^/        /' "$work/said"; fi; }
must_not() { local what=$1; shift; if "$@" >"$work/said" 2>&1; then bad "$what"; sed 's/^/        /' "$work/said"; else ok "$what"; fi; }
# Not through a pipe: who is looked through stops reading at the first hit, and whoever still writes then has failed.
says() { "${@:2}" >"$work/said2" 2>&1; cat "$work/said2"; grep -q -- "$1" "$work/said2"; }
within() { local limit=$1; shift; local end=$((SECONDS + limit)); until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || return 1; sleep 0.2; done; }
seconds() { local from; from=$(date +%s.%N); "${@}" >/dev/null 2>&1; echo "$(date +%s.%N) $from" | awk '{printf "%.2f", $1 - $2}'; }
host() { "$services/systemd-host" exec "$@"; }
main_pid() { host systemctl show -p MainPID --value splashdam; }
active() { [ "$(host systemctl is-active splashdam)" = active ]; }
count() { # documents of index $1
  curl -s -X POST "$es/$1/_refresh" >/dev/null
  curl -s "$es/$1/_count" | sed -n 's/.*"count":\([0-9]*\).*/\1/p'
}
has() { [ "$(count "$1")" = "$2" ]; }

[ "$(id -u)" = 0 ] || { skip "everything" "it needs root: a chroot, a container, packages"; exit $((${#failed[@]} > 0)); }
[ -n "${SPLASHDAM_BINARIES:-}" ] || packaging/build-static || exit 1
ls "$binaries"/splashdam "$binaries"/splashctl >/dev/null || exit 1

begin "a real Elasticsearch, and HTTPS with a password in front of it"
if [ ! -x "$services/elasticsearch" ]; then
  skip "Elasticsearch" "$services/elasticsearch is not there"
elif "$services/elasticsearch" start --version 8.19.21 --port "$port" --data "$work/es" >"$work/es.log" 2>&1; then
  es_started=1 es=http://127.0.0.1:$port
  ok "Elasticsearch 8.19.21 answers at $es"
else
  skip "Elasticsearch" "$(tail -n 1 "$work/es.log")"
fi
secure=$((port + 1))
if [ -z "${es_started:-}" ]; then
  skip "HTTPS" "there is no Elasticsearch behind it"
elif "$services/https-proxy" start --port "$secure" --to "$es" --user shipper --password hunter2 --data "$work/proxy" >"$work/proxy.log" 2>&1; then
  proxy_started=1
  ok "HTTPS on port $secure"
else
  skip "HTTPS" "$(tail -n 1 "$work/proxy.log")"
fi

job() { # PATH ENDPOINT INDEX [MORE]
  printf '[source]\ntype = "file"\npaths = ["%s"]\n[sink]\ntype = "elasticsearch"\nendpoint = "%s"\nindex = "%s"\n%b\n' "$1" "$2" "$3" "${4:-}"
}

begin "the static binaries in an empty chroot"
mkdir -p "$work/root/tmp" "$work/root/logs"
cp "$binaries/splashdam" "$binaries/splashctl" "$work/root/"
in_root() { chroot "$work/root" "$@"; }
for name in splashdam splashctl; do
  must "$name is static" says "statically linked\|not a dynamic" ldd "$binaries/$name"
  echo "    $("$binaries/$name" --version), $(wc -c <"$binaries/$name") bytes"
  must "$name says version, commit and target" says "^$name [0-9.]* ([0-9a-f]\{12\}.*x86_64-unknown-linux-gnu)" in_root "/$name" --version
done
seq 1000 | sed 's/^/line /' >"$work/root/logs/a.log"
if [ -n "${es_started:-}" ]; then
  job "/logs/*.log" "http://localhost:$port" chroot-http >"$work/root/http.toml"
  must "ships over HTTP to localhost, which no /etc/hosts tells of" in_root /splashdam run /http.toml --once --data-dir /tmp/http
  must "each line is one document" has chroot-http 1000
fi
if [ -n "${proxy_started:-}" ]; then
  cp "$work/proxy/proxy.crt" "$work/root/ca.pem"
  more='user = "shipper"\npassword = "hunter2"\n[sink.tls]\nca_file = "/ca.pem"'
  job "/logs/*.log" "https://localhost:$secure" chroot-https "$more" >"$work/root/https.toml"
  chmod 600 "$work/root/https.toml"
  must "ships over HTTPS with a password" in_root /splashdam run /https.toml --once --data-dir /tmp/https
  must "each line is one document" has chroot-https 1000
fi
must "starts within 50 ms or so" in_root /splashdam --version
echo "    --version takes $(seconds in_root /splashdam --version) s"

begin "the packages"
packages=${SPLASHDAM_PACKAGES:-$target/packages}
nfpm=${NFPM:-nfpm}
if command -v "$nfpm" >/dev/null; then
  export SPLASHDAM_BINARIES=$binaries
  must "are built" packaging/build-packages "$packages"
  must "and those of another version" env PACKAGE_VERSION=0.1.99 packaging/build-packages "$work/newer"
  deb=$(ls "$packages"/*.deb | head -n 1) newer=$(ls "$work"/newer/*.deb | head -n 1)
  rpm=$(ls "$packages"/*.rpm | head -n 1) newer_rpm=$(ls "$work"/newer/*.rpm | head -n 1)
  cp "$deb" "$work/first.deb"
  must "twice the same" packaging/build-packages "$packages"
  must "to the byte" cmp "$deb" "$work/first.deb"
  ls -l "$deb" "$rpm" | awk '{print "    " $5 " bytes " $9}'
else
  skip "packages" "nfpm is not there: go install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0"
fi

begin "the manual pages and completions"
pages=$packages/pages
if [ -d "$pages" ] && command -v man >/dev/null; then
  for page in man1/splashdam.1 man1/splashctl.1 man5/splashdam.toml.5; do
    must "$page is well-formed" sh -c "gzip -dc '$pages/$page.gz' | man --warnings -E UTF-8 -l - 2>&1 >/dev/null | (! grep .)"
  done
  must "bash takes the completions" bash -n "$pages/completions/splashctl.bash"
elif [ ! -d "$pages" ]; then
  skip "manual pages" "they are made with the packages"
else
  skip "manual pages" "man is not there"
fi

. tests/packages-rpm.sh
. tests/packages-container.sh

begin "the unit"
if command -v systemd-analyze >/dev/null; then
  must "its exposure is at most 1.8" systemd-analyze security --offline=true --threshold=18 systemd/splashdam.service
  systemd-analyze security --offline=true systemd/splashdam.service 2>/dev/null | tail -n 1
else
  skip "the unit's exposure" "systemd-analyze is not there"
fi

. tests/packages-host.sh

echo
[ ${#skipped[@]} -eq 0 ] || printf 'SKIPPED: %s\n' "${skipped[@]}"
if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
echo "packages: all that ran is well"
