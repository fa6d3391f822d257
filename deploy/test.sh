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

node=$(node -p 'parseInt(process.versions.node)') # ends here where there is none

# What does not start, or breaks off, writes no FAIL: its end is told apart.
run() { "$@" 2>&1 || echo "UNWELL $?, $(cut -c 1-150 <<<"$*")"; }

{
  # These read or build what the go command does not know of, so their results are never taken from its cache.
  run go test -v -count=1 ./pkg/arch
  run go test -v -count=1 ./loadtest/internal/command ./loadtest/deploytest
  run go test -v -timeout 40m $plain
  run go test -v -timeout 40m -race -parallel 6 $raced # most of them wait most of the time
  run go test -v -short ./services/standalone/internal/likeness # every fifth document; without -short all, in minutes
  # Last and alone, since it is about time, too: everything in one process, then in processes of their own that prove who
  # they are to each other and keep documents in S3.
  run go test -v -count=1 -timeout 30m -parallel 4 ./loadtest/e2e
  FILIGREE_E2E_DEPLOY=processes,tls,s3 run go test -v -count=1 -timeout 30m ./loadtest/e2e \
    -run 'TestBad|TestOther|TestCopies|TestPasswords|TestIdempotency|TestPaging|TestLinks|TestTimes'
  # The console in a browser, told as go test tells its own.
  if [ "$node" -ge 20 ]; then
    cd services/console/test
    run node --test --test-concurrency=1 --test-timeout=900000 --test-reporter=./reporter.mjs *.test.mjs
  else
    printf 'node is older than 20\n--- SKIP: services/console/test (0.00s)\n'
  fi
} | awk '
  function flush(show) { if (show) printf "%s", text; text = "" }
  /^=== (RUN|PAUSE|CONT|NAME)/ { next }
  /^ *--- PASS/ { passed++; next }
  /^ *--- SKIP/ { skipped++; skip[skipped] = $3 ": " last; next }
  /^ *--- FAIL/ { failed++ }
  /^ok  *\t/ { packages++; flush(0); print; fflush(); next }
  /^\?  *\t|^(PASS|FAIL)$|no test files/ { next }
  /^FAIL\t/ { bad++; flush(1); print; fflush(); next }
  /^UNWELL / { unwell++; flush(1); print "ended with " substr($0, 8); fflush(); next }
  { text = text $0 "\n"; last = $0; sub(/^ +/, "", last) }
  END {
    flush(bad == 0 && unwell == 0 && packages == 0)
    for (i = 1; i <= skipped; i++) print "skipped " skip[i]
    printf "%d packages ok, %d not\n", packages, bad
    printf "tests: %d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit passed == 0 || failed > 0 || bad > 0 || unwell > 0
  }'
