#!/usr/bin/env bash
# Regenerates proto/gen from proto/filigree with the pinned tools in bin/ (make tools), and the gateway's OpenAPI
# document from what came out.
# Third-party protos come from pinned packages and are not committed: googleapis' annotations from npm,
# protovalidate's from its Go module.
set -euo pipefail
cd "$(dirname "$0")/.."
third=proto/third_party
rm -rf "$third" && mkdir -p "$third/google/api" "$third/buf/validate"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent google-proto-files@6.0.1 >/dev/null && tar xzf google-proto-files-*.tgz)
cp "$work"/package/google/api/{annotations,http}.proto "$third/google/api/"
validate=$(GOWORK=off go -C deploy/tools mod download -json github.com/bufbuild/protovalidate@v1.2.2 | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
cp "$validate/proto/protovalidate/buf/validate/validate.proto" "$third/buf/validate/"
chmod -R u+w "$third"
export PATH="$PWD/bin:$PATH"
cd proto
buf format -w --path filigree
buf lint --path filigree
rm -rf gen && buf generate
go run ./plain
go run ./gensum -w
cd ..
go run ./services/gateway/internal/openapi/gen proto/gen/filigree.swagger.json services/gateway/openapi.json
