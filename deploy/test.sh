#!/usr/bin/env bash
# Runs every test of the workspace, prints a line for each package, all output of those that failed, what was skipped and
# why, and the number of tests at the end. No test at all is a failure.
#
# What runs many goroutines on shared state runs under the race detector; the rest is pure, or starts processes.
set -euo pipefail
cd "$(dirname "$0")/.."

race=(./pkg/worker/... ./pkg/rpc/... ./services/orchestrator/... ./services/standalone/internal/outbox ./services/standalone/internal/redisd)

# The programs are linked once for all tests that start them.
go build -o bin/ ./services/cli/cmd/filigree ./services/*/cmd/* ./loadtest/cmd/*
export FILIGREE_BIN=$PWD/bin/filigree FILIGREE_SERVICES=$PWD/bin

all=$(go list work)
raced=$(go list "${race[@]}" | grep -v /internal/store/model$) # whose histories are long and each in one goroutine
plain=$(comm -23 <(sort <<<"$all") <(sort <<<"$raced") | grep -v -e /pkg/arch$ -e /loadtest/e2e$ -e /loadtest/internal/command$ -e /loadtest/deploytest$ -e /internal/likeness$)

{
  # These read or build what the go command does not know of, so their results are never taken from its cache.
  go test -v -count=1 ./pkg/arch 2>&1 || true
  go test -v -count=1 ./loadtest/internal/command ./loadtest/deploytest 2>&1 || true
  go test -v -timeout 40m $plain 2>&1 || true
  go test -v -timeout 40m -race -parallel 6 $raced 2>&1 || true # most of them wait most of the time
  go test -v -short ./services/standalone/internal/likeness 2>&1 || true # every fifth document; without -short all, in minutes
  # Last and alone, since it is about time, too: everything in one process, then in processes of their own that prove who
  # they are to each other and keep documents in S3.
  go test -v -count=1 -timeout 30m -parallel 4 ./loadtest/e2e 2>&1 || true
  FILIGREE_E2E_DEPLOY=processes,tls,s3 go test -v -count=1 -timeout 30m ./loadtest/e2e \
    -run 'TestBad|TestOther|TestCopies|TestPasswords|TestIdempotency|TestPaging|TestLinks|TestTimes' 2>&1 || true
  # The console in a browser, told as go test tells its own.
  (cd services/console/test && node --test --test-concurrency=1 --test-timeout=900000 --test-reporter=./reporter.mjs *.test.mjs) 2>&1 || true
} | awk '
  function flush(show) { if (show) printf "%s", text; text = "" }
  /^=== (RUN|PAUSE|CONT|NAME)/ { next }
  /^ *--- PASS/ { passed++; next }
  /^ *--- SKIP/ { skipped++; skip[skipped] = $3 ": " last; next }
  /^ *--- FAIL/ { failed++ }
  /^ok  *\t/ { packages++; flush(0); print; fflush(); next }
  /^\?  *\t|^PASS$|no test files/ { next }
  /^FAIL\t/ { bad++; flush(1); print; fflush(); next }
  { text = text $0 "\n"; last = $0; sub(/^ +/, "", last) }
  END {
    flush(bad == 0 && packages == 0)
    for (i = 1; i <= skipped; i++) print "skipped " skip[i]
    printf "%d packages ok, %d not\n", packages, bad
    printf "tests: %d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit passed == 0 || failed > 0 || bad > 0
  }'
