#!/usr/bin/env bash
# Holds what is in deploy/ against the formats it is in: compose files against the Compose Specification, the Dockerfile
# against BuildKit's parser and rules, manifests against schemas made from Kubernetes' own types, Prometheus'
# configuration by promtool if there is one. Whether they fit the services is loadtest/deploytest's matter.
#
#   deploy/check.sh
#
# The tools come pinned from deploy/tools/manifests; the first run takes a minute or two. Nothing is started or changed.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools=tools/manifests
export GOWORK=off

go -C $tools build -o "$work/" ./dockerfile ./schemas github.com/yannh/kubeconform/cmd/kubeconform
go -C $tools build -o "$work/compose-spec" github.com/compose-spec/compose-go/v2/cmd

"$work/dockerfile" Dockerfile
echo "Dockerfile: ok"

# It wants the files that compose.yaml names; what is in them does not matter.
cp -r compose*.yaml prometheus Dockerfile "$work/"
mkdir "$work/secrets"
touch "$work"/secrets/{directory,email,s3}.env
for files in "compose.yaml" "compose.yaml compose.tls.yaml"; do
  # shellcheck disable=SC2086 # several files
  (cd "$work" && ./compose-spec $files >/dev/null)
  echo "$files: ok"
done

(cd $tools && "$work/schemas" "$work/k8s")
"$work/kubeconform" -strict -summary -schema-location "$work/k8s/{{.ResourceKind}}{{.KindSuffix}}.json" k8s/*.yaml

if command -v promtool >/dev/null; then
  promtool check config prometheus/scrape.yaml
  promtool check rules prometheus/rules.yaml
  # Debian's promtool does not know Kubernetes; Prometheus' own does.
  if promtool --version 2>&1 | grep -q debian; then
    echo "prometheus/kubernetes.yaml: not checked, this promtool was built without Kubernetes"
  else
    promtool check config prometheus/kubernetes.yaml
  fi
else
  echo "prometheus: not checked, there is no promtool"
fi
