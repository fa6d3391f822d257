package cli

import (
	"io"
	"time"

	"github.com/cheggaaa/pb/v3"
)

// bar is a progress bar on a terminal; without one it is silent. Its methods are safe for concurrent use.
type bar struct {
	pb *pb.ProgressBar // nil: silent
}

const (
	barCount = pb.ProgressBarTemplate(`{{string . "what"}} {{bar . "[" "=" ">" " " "]"}} {{percent . "%.0f%%"}}  {{string . "note"}}  {{etime .}}`)
	barBytes = pb.ProgressBarTemplate(`{{string . "what"}} {{bar . "[" "=" ">" " " "]"}} {{counters .}} {{speed . "%s/s" " "}}`)
	barRate  = pb.ProgressBarTemplate(`{{string . "what"}} {{bar . "[" "=" ">" " " "]"}} {{counters .}} {{speed . "%s/s" " "}} {{rtime . "%s left" "%s" " "}}`)
)

func (t *term) bar(look pb.ProgressBarTemplate, what string, total int64) *bar {
	if !t.live {
		return &bar{}
	}
	p := pb.New64(total)
	p.SetTemplate(look)
	p.SetWriter(t.err)
	p.SetRefreshRate(100 * time.Millisecond)
	p.SetMaxWidth(100)
	p.Set(pb.Terminal, true)
	p.Set(pb.ReturnSymbol, "\r")
	p.Set(pb.CleanOnFinish, true)
	p.Set(pb.Bytes, look == barBytes)
	p.Set("what", clean(what))
	return &bar{pb: p.Start()}
}

func (b *bar) set(current, total int64, note string) {
	if b.pb == nil {
		return
	}
	b.pb.SetTotal(total)
	b.pb.SetCurrent(current)
	b.pb.Set("note", note)
}

func (b *bar) increment() {
	if b.pb != nil {
		b.pb.Increment()
	}
}

// watch counts what is read through it; a new one starts from zero, for a repeat.
func (b *bar) watch(r io.Reader) io.Reader {
	if b.pb == nil {
		return r
	}
	b.pb.SetCurrent(0)
	return b.pb.NewProxyReader(r)
}

// finish takes the bar off the terminal: what follows says how it ended.
func (b *bar) finish() {
	if b.pb != nil {
		b.pb.Finish()
	}
}
