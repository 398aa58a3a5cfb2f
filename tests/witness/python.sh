#!/usr/bin/env bash
# Python with the official SDK of Aliyun Log Service, in a cache folder that is made at the first call:
#
#     tests/witness/python.sh [ARGUMENT...]      e.g. tests/witness/python.sh tests/witness/write.py --count 1000
#
# Ends with 77, and says why, where the SDK can't be had.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${XDG_CACHE_HOME:-$HOME/.cache}/splashdam/witness/venv
python=$venv/bin/python
wanted=$here/requirements.txt

install() {
  command -v python3 >/dev/null || { echo "python3 is not installed"; return 1; }
  [ -x "$python" ] || { mkdir -p "$(dirname "$venv")" && python3 -m venv "$venv"; } || { echo "python3 -m venv does not work"; return 1; }
  "$python" -m pip install --quiet --disable-pip-version-check -r "$wanted" && cp "$wanted" "$venv/installed.txt"
}

if ! cmp -s "$wanted" "$venv/installed.txt"; then
  said=$(install 2>&1) || { printf '%s\n' "$said" | tail -n 3 >&2; exit 77; }
fi
exec "$python" "$@"
