#!/bin/sh
# uv for this checkout, whatever the machine has: `infra/uv.sh sync`, `infra/uv.sh lock`, ...
#
# Takes the uv on PATH if it runs and is new enough, else installs a pinned one into .uv/ with pip.
# Chooses the Python: UV_PYTHON if set, else 3.12 or 3.11 (they have a wheel with an embedded Redis), else a newer one.
set -eu

UV_VERSION=0.13.9
root=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

# Print `major.minor` of an interpreter; fails if it does not run. Version managers leave shims that do not.
python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null </dev/null; }

# Print the first interpreter on PATH that runs and is of the given version.
find_python() {
  wanted=$1
  old_ifs=$IFS; IFS=:; set -f
  for directory in $PATH; do
    for name in "python$wanted" python3 python; do
      candidate="$directory/$name"
      if [ -x "$candidate" ] && [ "$(python_version "$candidate")" = "$wanted" ]; then
        IFS=$old_ifs; set +f
        printf '%s\n' "$candidate"
        return 0
      fi
    done
  done
  IFS=$old_ifs; set +f
  return 1
}

choose_python() {
  for version in 3.12 3.11 3.13 3.14 3.15; do
    if find_python "$version"; then return 0; fi
  done
  return 1
}

# True if the command is a uv of at least 0.8.
usable_uv() {
  number=$("$1" --version 2>/dev/null </dev/null | sed -n 's/^uv \([0-9]*\)\.\([0-9]*\)\..*/\1 \2/p')
  [ -n "$number" ] || return 1
  # shellcheck disable=SC2086  two words on purpose
  set -- $number
  [ "$1" -gt 0 ] || [ "$2" -ge 8 ]
}

install_uv() {
  say "setup: installing uv $UV_VERSION into .uv/ with $1"
  rm -rf "$root/.uv"
  # Debian's python3 has no ensurepip unless python3-venv is installed.
  if "$1" -m venv "$root/.uv" >/dev/null 2>&1; then
    "$root/.uv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" >&2
  else
    rm -rf "$root/.uv"
    "$1" -m pip install --quiet --disable-pip-version-check --target "$root/.uv" "uv==$UV_VERSION" >&2
  fi
}

if [ -z "${UV_PYTHON:-}" ]; then
  # An environment that works keeps its interpreter: no search, no rebuilding.
  if [ -x "$root/.venv/bin/python" ] && python_version "$root/.venv/bin/python" >/dev/null; then
    UV_PYTHON="$root/.venv/bin/python"
  elif ! UV_PYTHON=$(choose_python); then
    say "setup: no Python 3.11 or newer on PATH runs."
    say "       Install one (Debian: apt-get install python3 python3-venv) or name it: UV_PYTHON=/path/to/python3.12 make ..."
    exit 1
  fi
fi
export UV_PYTHON

if usable_uv uv; then
  uv=uv
else
  uv="$root/.uv/bin/uv"
  if ! usable_uv "$uv"; then
    if ! install_uv "$UV_PYTHON" || ! usable_uv "$uv"; then
      rm -rf "$root/.uv"
      say "setup: uv could not be installed with pip. Install it (https://docs.astral.sh/uv/) and put it on PATH."
      exit 1
    fi
  fi
fi

# Behind a proxy with its own authority only the system's trust store is complete; uv brings another one.
if [ -z "${SSL_CERT_FILE:-}" ] && [ -r /etc/ssl/certs/ca-certificates.crt ]; then
  export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
fi
export UV_PYTHON_DOWNLOADS="${UV_PYTHON_DOWNLOADS:-never}"

cd "$root"
exec "$uv" "$@"
