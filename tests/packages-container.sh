# Read by packages.sh: what packaging/Containerfile makes. Without an engine exactly the files that its lines copy are
# laid into an empty root, and its own command is run there; where buildah is, the real image is built and run, too.

containerfile=packaging/Containerfile
image=$work/image

# What a COPY and a WORKDIR do; anything else that changes files is told by `container_tests`.
lay_out() {
  local line words to from
  while read -r line; do
    read -ra words <<<"${line//'${BINARIES}'/$binaries}"
    to=$image${words[-1]}
    if [ "${words[0]}" = WORKDIR ]; then
      mkdir -p "$to"
      continue
    fi
    for from in "${words[@]:1:${#words[@]}-2}"; do
      if [ -d "$from" ]; then
        mkdir -p "$to" && cp "$from"/* "$to"
      elif [ "${to%/}" != "$to" ]; then
        mkdir -p "$to" && cp "$from" "$to"
      else
        mkdir -p "$(dirname "$to")" && cp "$from" "$to"
      fi || return 1
    done
  done < <(grep '^COPY \|^WORKDIR ' "$containerfile")
  mkdir -p "$image$(sed -n 's/^VOLUME //p' "$containerfile")"
}
# The words of a line in JSON: ENTRYPOINT ["/a", "b"] → /a b
words_of() { sed -n "s/^$1 //p" "$containerfile" | tr -d '[],"'; }
in_image() { env -i $(words_of ENV) "$(command -v chroot)" "$image" "$@"; }
run_image() { # As an engine does it: entry point and command.
  env -i $(words_of ENV) "$(command -v chroot)" "$image" $(words_of ENTRYPOINT) $(words_of CMD) >"$work/image.log" 2>&1 &
  image_pid=$!
}
image_answers() { in_image /usr/bin/splashctl --data-dir /var/lib/splashdam status; }
end_image() { kill -TERM "$image_pid" && wait "$image_pid"; }

container_tests() {
  local unknown
  unknown=$(grep -v '^#\|^FROM scratch$\|^ARG \|^COPY \|^WORKDIR \|^VOLUME \|^STOPSIGNAL SIGTERM$\|^ENV \|^ENTRYPOINT \|^CMD ' "$containerfile")
  must "has no line that this test does not know" test -z "$unknown"
  must "its files are there" lay_out
  run_image
  must "without a job it runs" within 20 image_answers
  must "and ends well at SIGTERM" end_image
  [ -n "${es_started:-}" ] || return
  mkdir -p "$image/var/log"
  seq 100 | sed 's/^/line /' >"$image/var/log/app.log"
  job /var/log/app.log "http://localhost:$port" show-container >"$image/etc/splashdam/jobs.d/app.toml"
  run_image
  must "with one it ships" within 30 has show-container 100
  must "its splashctl tells of it" says "app " image_answers
  must "and it ends well" end_image
}

engine() { buildah --storage-driver vfs --root "$work/containers" --runroot "$work/containers-run" "$@"; }
engine_tests() {
  local context=$work/context container mounted
  mkdir -p "$context/bin"
  cp -r packaging "$context/"
  cp "$binaries/splashdam" "$binaries/splashctl" "$context/bin/"
  must "is built" engine build --isolation chroot --build-arg BINARIES=bin -f "$containerfile" -t splashdam-test "$context"
  container=$(engine from --pull-never localhost/splashdam-test) || { bad "a container of it"; return; }
  mounted=$(engine mount "$container")
  must "holds the same files" sh -c "cd '$mounted' && find . -type f | sort >'$work/of-image' && cd '$image' && \
    find . -type f ! -path './var/*' ! -name app.toml | sort | cmp - '$work/of-image'"
  must "starts what the file says" says '"serve"' engine inspect --format '{{.OCIv1.Config.Entrypoint}} {{range .OCIv1.Config.Cmd}}"{{.}}" {{end}}' "$container"
  # Its state is for this container only; logs and jobs come from outside.
  local volumes=(-v "$image/etc/splashdam/jobs.d:/etc/splashdam/jobs.d:ro" -v "$image/var/log:/var/log:ro")
  [ -n "${es_started:-}" ] || return
  sed -i 's/show-container/show-engine/' "$image/etc/splashdam/jobs.d/app.toml"
  # With other arguments than its own command, which has no end.
  must "ships as a container" engine run --isolation chroot "${volumes[@]}" "$container" -- \
    $(words_of ENTRYPOINT) run /etc/splashdam/jobs.d/app.toml --once --data-dir /var/lib/splashdam
  must "each line is one document" has show-engine 100
}

begin "the Containerfile, without an engine"
container_tests
begin "the Containerfile, by buildah"
if command -v buildah >/dev/null; then
  engine_tests
else
  skip "a container" "buildah is not there"
fi
