#!/usr/bin/env bash
# Makes what services prove to each other who they are with (mutual TLS): an authority of this installation's own, and
# for each service a key and a certificate for the DNS name SERVICE.filigree.
#
#   deploy/certs.sh [DIR]              all of them, into DIR (deploy/secrets/tls)
#   deploy/certs.sh DIR SERVICE…       only these
#
# DIR/ca.crt DIR/ca.key              the authority; whoever has ca.key can be any service: keep it away from servers
# DIR/SERVICE/{ca.crt,tls.crt,tls.key}   what --tls-ca, --tls-cert and --tls-key of that service name
#
# An authority that is there is used again. A certificate is made anew each time, valid for a year: run it again before
# that, and restart the services one by one. FILIGREE_CERT_DAYS says otherwise.
set -euo pipefail
services=(gateway orchestrator directory watermark thumbnail link email push observer)

case "${1-}" in
  -h | --help)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
    exit 0
    ;;
esac
dir=${1:-$(cd "$(dirname "$0")" && pwd)/secrets/tls}
[ $# -le 1 ] || services=("${@:2}")
days=${FILIGREE_CERT_DAYS:-365}
command -v openssl >/dev/null || { echo "openssl is missing: apt-get install openssl" >&2; exit 1; }

umask 077
mkdir -p "$dir"
work=$(mktemp -d "$dir/.new-XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ ! -e "$dir/ca.key" ]; then
  openssl ecparam -genkey -name prime256v1 -noout -out "$work/ca.key"
  openssl req -x509 -new -sha256 -key "$work/ca.key" -days 3650 -subj "/O=Filigree/CN=Filigree services" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign" -out "$work/ca.crt"
  mv "$work/ca.crt" "$work/ca.key" "$dir/"
fi

for service in "${services[@]}"; do
  [[ $service =~ ^[a-z]+$ ]] || { echo "'$service' is no service" >&2; exit 1; }
  made=$work/$service
  mkdir "$made"
  openssl ecparam -genkey -name prime256v1 -noout -out "$made/tls.key"
  openssl req -new -sha256 -key "$made/tls.key" -subj "/O=Filigree/CN=$service" -out "$work/$service.csr"
  # Every service both calls and is called.
  cat >"$work/$service.ext" <<EXT
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:$service.filigree
EXT
  openssl x509 -req -sha256 -in "$work/$service.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
    -days "$days" -extfile "$work/$service.ext" -out "$made/tls.crt" 2>/dev/null
  openssl verify -CAfile "$dir/ca.crt" "$made/tls.crt" >/dev/null
  cp "$dir/ca.crt" "$made/ca.crt"
  mkdir -p "$dir/$service"
  mv "$made"/* "$dir/$service/"
  echo "$dir/$service: $service.filigree, until $(openssl x509 -in "$dir/$service/tls.crt" -noout -enddate | cut -d= -f2)"
done
