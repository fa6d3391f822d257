#!/usr/bin/env bash
# Installs what a bare Debian or Ubuntu machine with Go lacks; elsewhere it names what is missing and exits 1.
#
#   deploy/setup.sh run     what `filigree up` starts: redis-server, qpdf, poppler
#   deploy/setup.sh test    run, and what the tests look at results with; a C compiler for the race detector; Node 20, without
#                           which the console's tests are left out (with CI set it fails)
#   deploy/setup.sh gen     npm, for the third-party protos
#   deploy/setup.sh arm64   an emulator of arm64
#
# It does nothing, in a few milliseconds, when everything is there, and it never touches a service that exists.
set -euo pipefail

# program or file : Debian package
run=(redis-server:redis-server qpdf:qpdf pdftoppm:poppler-utils)
test=("${run[@]}" mutool:mupdf-tools gs:ghostscript chromium:chromium openssl:openssl gcc:gcc /usr/include/stdlib.h:libc6-dev node:nodejs npm:npm
  /usr/lib/python3/dist-packages/grpc/__init__.py:python3-grpcio /usr/lib/python3/dist-packages/google/protobuf/__init__.py:python3-protobuf)
gen=(npm:npm)
arm64=(qemu-aarch64-static:qemu-user-static)

case "${1-}" in
  run) wanted=("${run[@]}") ;;
  test) wanted=("${test[@]}") ;;
  gen) wanted=("${gen[@]}") ;;
  arm64) wanted=("${arm64[@]}") ;;
  *)
    echo "usage: deploy/setup.sh run|test|gen|arm64" >&2
    exit 1
    ;;
esac

present() {
  case $1 in
    /*) [ -e "$1" ] || [ "$(uname)" != Linux ] ;; # the headers' place is Debian's business
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=()
packages=()
look() {
  missing=()
  packages=()
  local entry
  for entry in ${wanted[@]+"${wanted[@]}"}; do
    if ! present "${entry%%:*}"; then
      missing+=("${entry%%:*}")
      packages+=("${entry#*:}")
    fi
  done
}

# Debian 12 and Ubuntu 24.04 have Redis 7; older ones do not.
check_redis() {
  local version
  [ "$1" = run ] || [ "$1" = test ] || return 0
  version=$(redis-server --version)
  [[ $version =~ v=([0-9]+)\. ]] && [ "${BASH_REMATCH[1]}" -ge 7 ] && return 0
  echo "redis-server is older than 7.0 ($version). Install a newer one, for instance from packages.redis.io." >&2
  exit 1
}

# Debian 13 has Node 20; Debian 12 and Ubuntu 24.04 have 18.
check_node() {
  local version
  [ "$1" = test ] || return 0
  version=$(node --version)
  [[ $version =~ ^v([0-9]+)\. ]] && [ "${BASH_REMATCH[1]}" -ge 20 ] && return 0
  echo "node is older than 20 ($version), so the console's tests do not run. Install a newer one, for instance from nodejs.org." >&2
  [ -z "${CI-}" ] || exit 1
}

# redis-server's package starts a service on port 6379, now and at each boot. Nobody asked for that one: `filigree up`
# starts its own, private one. An existing policy-rc.d is somebody's decision and stays.
policy=/usr/sbin/policy-rc.d
as_root=()
install_packages() {
  local made_policy=no status=0
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "not root, and there is no sudo. Ask somebody who is root to run: apt-get install ${packages[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  local redis_is_new=no
  command -v redis-server >/dev/null || redis_is_new=yes
  local root_env=(env DEBIAN_FRONTEND=noninteractive)
  local apt=(${as_root[@]+"${as_root[@]}"} "${root_env[@]}" apt-get -q -y -o Dpkg::Use-Pty=0)

  if [ $redis_is_new = yes ] && [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | ${as_root[@]+"${as_root[@]}"} tee $policy >/dev/null
    made_policy=yes
    trap '${as_root[@]+"${as_root[@]}"} rm -f "$policy"' EXIT
    ${as_root[@]+"${as_root[@]}"} chmod 755 $policy
  fi
  echo "installing ${packages[*]} (apt-get)"
  # The lists of a bare machine are empty or old: look again before giving up.
  "${apt[@]}" install --no-install-recommends "${packages[@]}" >/dev/null 2>&1 || {
    "${apt[@]}" update >/dev/null
    "${apt[@]}" install --no-install-recommends "${packages[@]}" || status=$?
  }
  if [ $made_policy = yes ]; then
    ${as_root[@]+"${as_root[@]}"} rm -f $policy
    trap - EXIT
  fi
  if [ $redis_is_new = yes ] && [ -d /run/systemd/system ]; then
    ${as_root[@]+"${as_root[@]}"} systemctl disable --quiet redis-server.service || true # no such unit is as good
  fi
  return $status
}

look
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}. Install them (Debian calls their packages ${packages[*]}), then try again." >&2
    exit 1
  fi
  if ! install_packages; then
    echo "apt-get could not install ${packages[*]}; its own words are above." >&2
    exit 1
  fi
  hash -r
  look
  if [ ${#missing[@]} -gt 0 ]; then
    echo "still missing after the installation: ${missing[*]}" >&2
    exit 1
  fi
fi
check_redis "$1"
check_node "$1"
