package store_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/observer/internal/audit"
	"github.com/filigreehq/filigree/services/observer/internal/store"
)

func auditLine(n int) audit.Line {
	return audit.Line{Time: time.UnixMilli(1_800_000_000_000 + int64(n)).UTC(), Production: "default", Subject: fmt.Sprint("token:", n%3), Action: "copy.download", Object: fmt.Sprint("D.1.", n)}
}

func TestManyAppendAndEachLineIsThereOnce(t *testing.T) {
	t.Parallel()
	s := store.New(redistest.Start(t).Client)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for b := range 10 {
				lines := []audit.Line{auditLine(w*100 + b*5), auditLine(w*100 + b*5 + 1), auditLine(w*100 + b*5 + 2)}
				for range 2 { // whoever did not hear the answer asks again
					err := s.Append(t.Context(), fmt.Sprint(w, "-", b), lines)
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	lines, err := s.AuditLines(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, l := range lines {
		seen[l.Object]++
	}
	if len(lines) != 240 || len(seen) != 240 {
		t.Errorf("%d lines, %d different; want 240", len(lines), len(seen))
	}
	if n := audit.Check(0, audit.Start, lines); n != 0 {
		t.Errorf("broken at %d", n)
	}
	back, err := s.AuditLinesBefore(t.Context(), 11, 100)
	if err != nil || len(back) != 10 || back[0].Number != 10 || back[9].Number != 1 {
		t.Errorf("before line 11: %v, %v", back, err)
	}
}

func TestALineThatWasAlteredInRedisIsFoundWhereItIs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := store.New(server.Client)
	var lines []audit.Line
	for n := range 100 {
		lines = append(lines, auditLine(n))
	}
	err := s.Append(t.Context(), "one", lines)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := server.Client.XRange(t.Context(), "{obs}:audit", "-", "+").Result()
	if err != nil || len(whole) != 100 {
		t.Fatalf("%d lines, %v", len(whole), err)
	}
	found := 0
	for n := range whole {
		pipe := server.Client.TxPipeline()
		pipe.Del(t.Context(), "{obs}:audit")
		for i, m := range whole {
			raw, _ := m.Values["l"].(string)
			if i == n {
				var l audit.Line
				err = json.Unmarshal([]byte(raw), &l)
				if err != nil {
					t.Fatal(err)
				}
				switch n % 4 { // whatever is altered
				case 0:
					l.Subject = "token:9"
				case 1:
					l.Time = l.Time.Add(time.Millisecond)
				case 2:
					l.Object += "0"
				case 3:
					l.Detail = "no"
				}
				altered, err := json.Marshal(l)
				if err != nil {
					t.Fatal(err)
				}
				raw = string(altered)
			}
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: "{obs}:audit", ID: m.ID, Values: []any{"l", raw}})
		}
		_, err = pipe.Exec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.AuditLines(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if audit.Check(0, audit.Start, got) == int64(n+1) {
			found++
		}
	}
	if found != 100 {
		t.Errorf("found %d of 100", found)
	}
}
