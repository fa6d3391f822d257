package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/redistest"
	"github.com/filigreehq/filigree/services/observer/internal/store"
)

func TestOfManyRunsTheNewestAreListed(t *testing.T) {
	t.Parallel()
	s := store.New(redistest.Start(t).Client)
	for i := range 5 {
		_, err := s.PutRun(t.Context(), store.Run{Production: "default", ID: fmt.Sprint(i), State: "running", Told: []byte("{}")}, false)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // they are told of by the clock of Redis
	}
	runs, err := s.RunsLately(t.Context(), time.Now().Add(-time.Hour), 3)
	if err != nil || len(runs) != 3 || runs[0].ID != "4" || runs[2].ID != "2" {
		t.Errorf("got %v, %v; want 4, 3, 2", runs, err)
	}
}
