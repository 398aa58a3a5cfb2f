# Read by packages.sh: the .rpm in a root of its own, with its scripts, and the real systemctl, systemd-sysusers and
# systemd-tmpfiles in it; no systemd runs there. The booted Debian shows what the same scripts do where one runs.

# As much of a machine as rpm and the scripts use.
rpm_root() { # FOLDER
  local root=$1 program
  mkdir -p "$root"/{etc,proc,run,tmp,dev,var/lib,usr/bin,usr/sbin,usr/lib/systemd/system,usr/lib64}
  ln -s usr/bin "$root/bin"
  ln -s usr/sbin "$root/sbin"
  ln -s usr/lib "$root/lib"
  ln -s usr/lib64 "$root/lib64"
  for program in /bin/sh $(command -v systemctl systemd-sysusers systemd-tmpfiles getent touch rm); do
    # shellcheck disable=SC2046
    cp -L --parents "$program" $(ldd "$program" | grep -o '/[^ ]*') "$root" || return 1
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  printf 'passwd: files\ngroup: files\n' >"$root/etc/nsswitch.conf"
  printf '[Unit]\nDescription=Everything\n' >"$root/usr/lib/systemd/system/multi-user.target"
}
# rpm itself enters the root for the scripts; they want /proc. A mount namespace of its own takes it away again.
in_rpm() { unshare --mount sh -c 'mount --bind /proc "$0/proc" && exec rpm --root "$0" --dbpath /var/lib/rpm "$@"' "$work/rpm" "$@"; }
rpm_owner() { # PATH → owner by the root's own numbers
  local ids
  ids=$(stat -c '%u:%g' "$work/rpm$1") || return 1
  awk -F: -v id="${ids%:*}" '$3 == id { printf "%s ", $1 }' "$work/rpm/etc/passwd"
  awk -F: -v id="${ids#*:}" '$3 == id { print $1 }' "$work/rpm/etc/group"
}
wanted=etc/systemd/system/multi-user.target.wants/splashdam.service

rpm_tests() {
  must "there is a root for it" rpm_root "$work/rpm"
  must "has a database" in_rpm --initdb
  must "asks for nothing" sh -c "! rpm -qpR '$rpm' | grep -v '^rpmlib(\|^config(\|^/bin/sh'"
  must "is installed" in_rpm -i --nodeps "$rpm"
  must "made its user" grep '^splashdam:.*:/var/lib/splashdam:/usr/sbin/nologin$' "$work/rpm/etc/passwd"
  must "the configuration is root's and the group's" says "^root splashdam$" rpm_owner /etc/splashdam/splashdam.toml
  must "is verified" in_rpm -V splashdam
  must "its service is enabled" test -h "$work/rpm/$wanted"
  must "keeps its configuration as such" says '^/etc/splashdam/splashdam.toml$' in_rpm -qc splashdam

  echo "# mine" >>"$work/rpm/etc/splashdam/splashdam.toml"
  echo "# a job" >"$work/rpm/etc/splashdam/jobs.d/app.toml"
  mkdir -p "$work/rpm/var/lib/splashdam"
  echo kept >"$work/rpm/var/lib/splashdam/state"
  must "is upgraded" in_rpm -U --nodeps "$newer_rpm"
  must "is the newer one" says "^splashdam-0.1.99" in_rpm -q splashdam
  must "is downgraded" in_rpm -U --nodeps --oldpackage "$rpm"
  must "the configuration is kept" grep -q "^# mine" "$work/rpm/etc/splashdam/splashdam.toml"
  must "no second one lies beside it" sh -c "! ls '$work/rpm/etc/splashdam' | grep rpm"
  must "it is still enabled" test -h "$work/rpm/$wanted"
  rm "$work/rpm/$wanted"
  must "disabled and upgraded" in_rpm -U --nodeps "$newer_rpm"
  must_not "it stays disabled" test -h "$work/rpm/$wanted"
  ln -s /lib/systemd/system/splashdam.service "$work/rpm/$wanted"

  must "is erased" in_rpm -e splashdam
  must_not "no link to the unit is left" test -h "$work/rpm/$wanted"
  must "jobs and state are kept" test -e "$work/rpm/etc/splashdam/jobs.d/app.toml" -a -e "$work/rpm/var/lib/splashdam/state"
  must "a changed configuration is put aside" test -e "$work/rpm/etc/splashdam/splashdam.toml.rpmsave"
  rm -r "$work/rpm/etc/splashdam" "$work/rpm/var/lib/splashdam"
  must "nothing else is left" sh -c "! find '$work/rpm' -path '$work/rpm/var/lib/rpm' -prune -o -name '*splash*' -print | grep ."
}

begin "the .rpm"
if [ -z "${rpm:-}" ]; then
  skip ".rpm" "it is not built"
elif ! command -v rpm >/dev/null || ! command -v systemd-sysusers >/dev/null; then
  skip ".rpm" "rpm or systemd-sysusers is not there"
elif ! unshare --mount true 2>/dev/null; then
  skip ".rpm" "no mount namespace may be made here"
else
  rpm_tests
fi
