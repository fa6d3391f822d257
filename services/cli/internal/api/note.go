package api

import "context"

type notesKey struct{}

// WithNotes returns a context in whose calls tell is given what a server says beside an answer: how far it can be trusted to
// be of now.
func WithNotes(ctx context.Context, tell func(note string)) context.Context {
	return context.WithValue(ctx, notesKey{}, tell)
}

func noteOf(ctx context.Context, note string) {
	tell, ok := ctx.Value(notesKey{}).(func(string))
	if ok && note != "" {
		tell(note)
	}
}
