#!/usr/bin/env bash
# Makes the secrets of an installation of separate processes, each once: what is there stays.
#
#   deploy/secrets.sh [DIR]            into DIR (deploy/secrets)
#
# DIR/keys.json      the key ring: every password, link and hidden id comes from it. Lose it and copies out there cannot
#                    be traced or opened with their passwords any more: back it up, apart from the rest
# DIR/directory.env  FILIGREE_DIRECTORY_ADMIN_TOKEN, the token of role admin that the others are created with
# DIR/email.env      for FILIGREE_EMAIL_SMTP_PASSWORD; empty until you write it there
# DIR/s3.env         for AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; empty until you write them there
set -euo pipefail
dir=${1:-$(cd "$(dirname "$0")" && pwd)/secrets}
case $dir in
  -*)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
    exit 0
    ;;
esac
command -v openssl >/dev/null || { echo "openssl is missing: apt-get install openssl" >&2; exit 1; }

umask 077
mkdir -p "$dir"

# once NAME writes standard input to NAME, whole or not at all, if there is no NAME.
once() {
  local new
  new=$(mktemp "$dir/.new-XXXXXX")
  cat >"$new"
  if ln "$new" "$dir/$1" 2>/dev/null; then
    echo "$dir/$1: made"
  else
    echo "$dir/$1: was there"
  fi
  rm "$new"
}

printf '{"active":1,"keys":{"1":"%s"}}\n' "$(openssl rand -base64 32)" | once keys.json
printf 'FILIGREE_DIRECTORY_ADMIN_TOKEN=fg_%s\n' "$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n')" | once directory.env
printf '# FILIGREE_EMAIL_SMTP_PASSWORD=\n' | once email.env
printf '# AWS_ACCESS_KEY_ID=\n# AWS_SECRET_ACCESS_KEY=\n' | once s3.env
