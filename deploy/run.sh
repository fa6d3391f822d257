#!/usr/bin/env bash
# Starts Filigree on a data folder, sends sample documents to 20 sample people, says who got them and where everything
# lies, and stays up until Ctrl-C. Every run sends anew.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-.data}
export FILIGREE_DATA=$data

mkdir -p "$data"
chmod 700 "$data" # keys and tokens lie in it
log=$data/up.log
: >"$log"
# In a session of its own, so that Ctrl-C reaches this script alone: a second signal would end it at once.
setsid bin/filigree up --data "$data" >"$log" 2>&1 &
up=$!

stop() {
  trap '' INT TERM
  if kill -TERM $up 2>/dev/null; then
    echo "stopping"
  fi
  wait $up || true
}
interrupted=no
trap 'interrupted=yes' INT TERM
trap stop EXIT

url=
for _ in $(seq 600); do
  url=$(sed -n 's/^ready \(http[^ ]*\).*/\1/p' "$log")
  [ -z "$url" ] || break
  if ! kill -0 $up 2>/dev/null; then
    cat "$log" >&2
    echo "filigree up ended before it was ready; what it said is above, and in $log" >&2
    exit 1
  fi
  [ $interrupted = no ] || exit 0
  sleep 0.1
done
if [ -z "$url" ]; then
  echo "filigree up was not ready after a minute; what it said is in $log" >&2
  exit 1
fi
echo "filigree is up at $url"

samples=$data/samples
bin/samples -o "$samples"
echo "sending 3 documents to 20 people, each a copy of their own"
status=0
bin/filigree send --wait=10m --json --title "The Lamplighters, day 12" --to "$samples/people.csv" \
  --file "$samples/the-lamplighters.pdf" --file "$samples/call-sheet-day-12.pdf" --file "$samples/look-book.pdf" \
  >"$data/last-distribution.json" || status=$?
[ $interrupted = no ] || exit 0
id=$(sed -n 's/^[{ ]*"id": *"\([^"]*\)".*/\1/p' "$data/last-distribution.json" | head -n 1)
if [ -z "$id" ]; then
  echo "nothing was sent (exit code $status); what the server said is in $log" >&2
  exit 1
fi

echo
bin/filigree recipients "$id"
echo
bin/filigree status "$id"
cat <<END

mails       $data/outbox/*.eml, with every person's copies attached
copies      $data/blobs, by their digest
samples     $samples
log         $log
tokens      $data/credentials.json
console     each signs one browser in, once, within 15 minutes; another: bin/filigree sign-in --role coordinator
$(sed -n 's/^sign in as \([^,]*\), [^:]*: \(.*\)/            \1: \2/p' "$log")
look at     bin/filigree items $id       (export FILIGREE_DATA=$data first)
            bin/filigree events $id
END
echo
echo "Ctrl-C stops it; the data stays in $data."
while [ $interrupted = no ] && kill -0 $up 2>/dev/null; do
  wait $up || true
done
if [ $interrupted = no ]; then
  echo "filigree up ended by itself; what it said is in $log. The next start goes on where it stopped." >&2
  exit 1
fi
