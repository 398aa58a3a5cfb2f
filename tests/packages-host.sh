# Read by packages.sh: the .deb in a booted Debian.

host_tests() {
  begin "the .deb in a booted Debian"
  host sh -c 'useradd --system other 2>/dev/null; useradd -m member 2>/dev/null; true'
  must "is installed" "$services/systemd-host" install "$deb"
  must "the unit is verified" host systemd-analyze verify --man=no splashdam.service
  must "it is enabled" host systemctl is-enabled splashdam
  must "it runs without a job" within 20 active
  host systemctl status splashdam --no-pager | sed -n '/Status:/p' | sed 's/^ */    /'
  must "no unit has failed" sh -c "[ -z \"\$('$services/systemd-host' exec systemctl --failed --no-legend --plain)\" ]"
  must "the socket is the group's" says "660 splashdam splashdam" host stat -c '%a %U %G' /run/splashdam/control.sock
  must "the state is the service's" says "750 splashdam splashdam" host stat -c '%a %U %G' /var/lib/splashdam
  must "the configuration is root's" says "640 root splashdam" host stat -c '%a %U %G' /etc/splashdam/splashdam.toml
  must_not "a stranger can't control it" host runuser -u member -- splashctl status
  sed 's/^/        /' "$work/said"
  host usermod -aG splashdam member
  must "a member of the group can" host runuser -u member -- splashctl status
  shipping
  sandbox
  ends_and_restarts
  stuck
  versions
  newer_data
  removal
}

put_job() { # NAME, the job on stdin
  cat >"$work/$1" && "$services/systemd-host" push "$work/$1" "/etc/splashdam/jobs.d/$1" && host chown root:splashdam "/etc/splashdam/jobs.d/$1"
}

shipping() {
  begin "a job is dropped in and reloaded"
  host sh -c 'umask 077; seq 5 | sed "s/^/app line /" >/var/log/app.log; chown other /var/log/app.log; chmod 600 /var/log/app.log'
  job /var/log/app.log "http://localhost:$port" show-app | put_job app.toml
  must "systemctl reload" host systemctl reload splashdam
  if [ -n "${es_started:-}" ]; then
    must "lines of a 0600 file of somebody else are in Elasticsearch" within 30 has show-app 5
  fi
  host systemctl status splashdam --no-pager | sed -n '/Status:/p' | sed 's/^ */    /'
  printf '[source]\ntype = "file"\npahts = ["/x"]\n' | put_job wrong.toml
  must_not "a wrong job is refused" host systemctl reload splashdam
  must "and named with file, line and key" says 'wrong.toml:3:1: unknown key "pahts"' host journalctl -u splashdam -o cat --no-pager
  must_not "splashctl reload says so, too" host splashctl reload
  sed 's/^/        /' "$work/said"
  must "the others run on" active
  must "at a start it is set aside" host systemctl restart splashdam
  must "and the others run" within 20 active
  must "named by the check before the start" within 20 says 'splashdam\[[0-9]*\]: .*wrong.toml:3:1' host journalctl -u splashdam --no-pager
  host rm /etc/splashdam/jobs.d/wrong.toml
  host sh -c 'echo app line 6 >>/var/log/app.log'
  [ -z "${es_started:-}" ] || must "nothing is shipped twice" within 30 has show-app 6

  [ -n "${proxy_started:-}" ] || return
  host sh -c 'umask 077; printf hunter2 >/etc/splashdam/elasticsearch-password; mkdir -p /etc/systemd/system/splashdam.service.d
    printf "[Service]\nLoadCredential=es:/etc/splashdam/elasticsearch-password\n" >/etc/systemd/system/splashdam.service.d/credential.conf
    echo secret line >/var/log/secure-app.log'
  "$services/systemd-host" push "$work/proxy/proxy.crt" /etc/splashdam/ca.pem
  job /var/log/secure-app.log "https://localhost:$secure" show-secure \
    'user = "shipper"\npassword = "${credential:es}"\n[sink.tls]\nca_file = "/etc/splashdam/ca.pem"' | put_job secure.toml
  host systemctl daemon-reload
  must "with a credential" host systemctl restart splashdam
  must "HTTPS with its password works" within 30 has show-secure 1
  must_not "the password is in no log" says hunter2 host journalctl -u splashdam --no-pager
}

sandbox() {
  begin "what it may not do"
  cat >"$work/probe.conf" <<'PROBE'
[Service]
ExecStartPost=/bin/sh -c 'for f in /etc/x /usr/x /home/x /var/log/x /root/x; do (echo x >$f) 2>/dev/null && echo "wrote $f"; done >/var/lib/splashdam/probe; for f in /etc/shadow /etc/gshadow; do [ -n "$(cat $f 2>/dev/null)" ] && echo "read $f"; done >>/var/lib/splashdam/probe; cat /var/log/app.log >/dev/null && echo "reads logs" >>/var/lib/splashdam/probe; exit 0'
PROBE
  "$services/systemd-host" push "$work/probe.conf" /etc/systemd/system/splashdam.service.d/probe.conf
  host systemctl daemon-reload
  must "the probe runs beside it" host systemctl restart splashdam
  host cat /var/lib/splashdam/probe >"$work/probe"
  must "it reads logs of others" grep -q "reads logs" "$work/probe"
  must_not "it writes nowhere" grep "wrote" "$work/probe"
  must_not "it reads no password hashes" grep "read /etc" "$work/probe"
  host rm /etc/systemd/system/splashdam.service.d/probe.conf /var/lib/splashdam/probe
  host systemctl daemon-reload
  must "its exposure is at most 1.8 there, too" host systemd-analyze security --threshold=18 splashdam.service
}

ends_and_restarts() {
  begin "stopping with Elasticsearch dead, freezing"
  job /var/log/app.log "http://127.0.0.1:1" nowhere | put_job dead.toml
  must "a job for a dead cluster" host systemctl reload splashdam
  owes() { host splashctl status --json | grep -q '"owed_records": *6'; }
  must "owes its lines" within 30 owes
  host systemctl status splashdam --no-pager | sed -n '/Status:/p' | sed 's/^ */    /'
  local took
  took=$(seconds host systemctl stop splashdam)
  echo "    systemctl stop took $took s"
  must "is stopped within 5 s" awk "BEGIN { exit !($took <= 5) }"
  must "and ended well" says "inactive" host systemctl show -p ActiveState splashdam
  host systemctl start splashdam
  before=$(main_pid)
  host kill -STOP "$before"
  other_pid() { local now; now=$(main_pid); [ -n "$now" ] && [ "$now" != 0 ] && [ "$now" != "$before" ] && active; }
  local from=$SECONDS
  must "frozen, it is restarted by the watchdog" within 120 other_pid
  echo "    after $((SECONDS - from)) s"
  must "which the journal says" within 20 says "atchdog timeout" host journalctl -u splashdam --no-pager
  host rm /etc/splashdam/jobs.d/dead.toml
  must "its job can go" host systemctl reload splashdam
  must "what it owes is kept, and told" says "remembers the job dead" host splashctl status
}

# A single thread is held by a tracer, as one would be held by a dead disk: the process lives, answers and ships the rest.
stuck() {
  begin "one pipeline stuck, all else alive"
  command -v strace >/dev/null || { skip "a stuck pipeline" "strace is not there"; return; }
  local space inner process thread timeouts from=$SECONDS
  timeouts=$(host journalctl -u splashdam --no-pager | grep -c "atchdog timeout")
  before=$(main_pid) space=$(host readlink /proc/self/ns/pid)
  for process in /proc/[0-9]*; do
    inner=$(awk '/^NSpid/ { print $NF }' "$process/status" 2>/dev/null)
    if [ "$inner" = "$before" ] && [ "$(readlink "$process/ns/pid")" = "$space" ]; then break; fi
  done
  thread=$(grep -lx ingest "$process"/task/*/comm | head -n 1 | cut -d / -f 5)
  must "its reading thread is found" test -n "$thread"
  # Each call of it into the kernel takes ten minutes from now on.
  strace -qq -o /dev/null -p "$thread" -e inject=all:delay_enter=600000000 2>"$work/strace.log" &
  local tracer=$!
  must "it still answers" within 10 host splashctl status
  timed_out() { [ "$(host journalctl -u splashdam --no-pager | grep -c "atchdog timeout")" -gt "$timeouts" ]; }
  must "the watchdog ends it" within 120 timed_out
  echo "    after $((SECONDS - from)) s"
  # A thread that is traced is not gone before its tracer lets go of it.
  kill "$tracer"
  wait "$tracer" 2>/dev/null
  must "systemd starts it anew" within 60 other_pid
  must "the journal says which job was stuck" within 20 says "stuck.*jobs=app" host journalctl -u splashdam --no-pager
  [ -z "${es_started:-}" ] || must "nothing is shipped twice" within 30 has show-app 6
}

# Data of a version that is to come: refused, told, not tried again and again, not touched; that version goes on with them.
newer_data() {
  begin "data of a newer version"
  host systemctl stop splashdam
  local format
  format=$(host cat /var/lib/splashdam/format)
  host sh -c "echo $((format + 1)) >/var/lib/splashdam/format"
  must_not "it does not start" host systemctl start splashdam
  must "and says what to do" within 20 says "newer version.*install" host journalctl -u splashdam -o cat --no-pager
  must "it is not started again" says "^NRestarts=0" host systemctl show -p NRestarts splashdam
  must "it has failed" says "^failed" host systemctl is-failed splashdam
  host sh -c "echo $format >/var/lib/splashdam/format"
  must "with its own version it starts" host systemctl start splashdam
  [ -z "${es_started:-}" ] || must "where it was" within 30 has show-app "$lines"
}

versions() {
  begin "upgrade and downgrade"
  host sh -c 'echo "# mine" >>/etc/splashdam/splashdam.toml'
  local version
  for version in "$newer" "$deb"; do
    must "$(basename "$version") is installed over it" "$services/systemd-host" install "$version"
    must "it runs" within 20 active
    must "the configuration is kept" host grep -q '^# mine' /etc/splashdam/splashdam.toml
    lines=$((${lines:-6} + 1))
    host sh -c "echo app line $lines >>/var/log/app.log"
    [ -z "${es_started:-}" ] || must "positions are kept: one more line, one more document" within 30 has show-app "$lines"
  done
  host systemctl stop splashdam
  must "upgraded while it was stopped" "$services/systemd-host" install "$newer"
  must_not "it stays so" active
  host systemctl start splashdam
}

removal() {
  begin "remove and purge"
  must "is removed" host dpkg -r splashdam
  must "the state is kept" host test -d /var/lib/splashdam
  must "the configuration is kept" host test -e /etc/splashdam/jobs.d/app.toml
  must "and installed again" "$services/systemd-host" install "$deb"
  must "it runs again" within 20 active
  host sh -c 'echo app line again >>/var/log/app.log'
  [ -z "${es_started:-}" ] || must "where it was" within 30 has show-app $((lines + 1))
  must "is purged" host dpkg -P splashdam
  must "nothing is left" sh -c "! '$services/systemd-host' exec sh -c \"find / -xdev \\( -path /proc -o -path /var/tmp \\) -prune -o -name '*splashd*' -print -o -name '*splashctl*' -print\" | grep ."
  must "but the user" host getent passwd splashdam
  must "no unit has failed" sh -c "[ -z \"\$('$services/systemd-host' exec systemctl --failed --no-legend --plain)\" ]"
}

if [ -z "${deb:-}" ]; then
  skip "the .deb in a booted Debian" "it is not built"
elif [ ! -x "$services/systemd-host" ]; then
  skip "the .deb in a booted Debian" "$services/systemd-host is not there"
elif "$services/systemd-host" start >"$work/host.log" 2>&1; then
  host_started=1
  host_tests
else
  skip "the .deb in a booted Debian" "$(tail -n 1 "$work/host.log")"
fi
