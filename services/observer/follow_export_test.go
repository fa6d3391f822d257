package observer

import (
	"github.com/filigreehq/filigree/services/observer/internal/event"
	"github.com/filigreehq/filigree/services/observer/internal/follow"
	"github.com/filigreehq/filigree/services/orchestrator/readside"
)

// NewSource is what the index is read from.
func NewSource(r *readside.Records) follow.Source {
	return source{r, nil, func(string, string) {}, func([]event.Event) {}}
}
