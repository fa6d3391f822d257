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
	barRate  = pb.ProgressBarTemplate(`{{string . "what"}} {{bar . "[" "=" ">" " " "]"}} {{counters .}} {{speed . "%s copies/s" " "}} {{rtime . "%s left" "%s" " "}}`)
	barPages = pb.ProgressBarTemplate(`{{string . "what"}} {{counters .}} {{bar . "[" "=" ">" " " "]"}}`)
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

// lateBar is a bar that shows only once there has been something to wait for. Its methods are not safe for concurrent
// use.
type lateBar struct {
	term  *term
	look  pb.ProgressBarTemplate
	what  string
	after time.Duration
	since time.Time
	bar   *bar // nil: not shown yet
}

// later returns a bar that shows nothing before so much time has gone by.
func (t *term) later(after time.Duration, look pb.ProgressBarTemplate, what string) *lateBar {
	return &lateBar{term: t, look: look, what: what, after: after, since: time.Now()}
}

func (l *lateBar) set(done, total int) {
	if l.bar == nil {
		if time.Since(l.since) < l.after {
			return
		}
		l.bar = l.term.bar(l.look, l.what, int64(total))
	}
	l.bar.set(int64(done), int64(total), "")
}

func (l *lateBar) finish() {
	if l.bar != nil {
		l.bar.finish()
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
