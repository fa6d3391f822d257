package worker

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/filigreehq/filigree/pkg/telemetry"
	"github.com/filigreehq/filigree/pkg/traceid"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

const (
	keptLines = 20
	lineBytes = 512
)

// Log returns a logger whose lines say which attempt they belong to, when ctx is a handler's; the last 20 of them at Info
// and above (at Debug, too, where Debug is logged) are kept with the attempt, 512 bytes of each at most, and are shown with
// its story. So is whatever else is logged with ctx by a logger over LogHandler. Do not log what recipients must not share:
// names and addresses are in the distribution already, and secrets belong nowhere; a conf.Secret does not print itself.
//
// In a plain call of the handler it is a logger that drops everything.
func Log(ctx context.Context) *slog.Logger {
	r, ok := ctx.Value(runCtx{}).(*run)
	if !ok {
		return slog.New(slog.DiscardHandler)
	}
	return r.worker.log
}

// LogHandler adds to what is logged with a handler's ctx which attempt it belongs to (production, distribution, unit, step,
// attempt, trace_id), and to what is logged within any other trace its trace_id; and it keeps an attempt's lines: see Log.
// Around one of its own it changes nothing.
func LogHandler(next slog.Handler) slog.Handler {
	_, ok := next.(*logHandler)
	if ok {
		return next
	}
	return &logHandler{next: next}
}

type logHandler struct {
	next slog.Handler
	// What was added by With, flattened, and the group that attributes are in, ending in a dot.
	text   string
	prefix string
	groups bool
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level) || level >= slog.LevelInfo && ctx.Value(runCtx{}) != nil
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	r, ok := ctx.Value(runCtx{}).(*run)
	if ok {
		r.keep(record, h)
	}
	if !h.next.Enabled(ctx, record.Level) {
		return nil
	}
	var about []slog.Attr
	switch {
	case ok:
		about = r.about()
	case telemetry.On():
		id := telemetry.TraceID(ctx)
		if id != "" {
			about = []slog.Attr{slog.String("trace_id", id)}
		}
	}
	if len(about) == 0 {
		return h.next.Handle(ctx, record)
	}
	said := map[string]bool{} // by whoever logs: once is enough
	record.Attrs(func(a slog.Attr) bool {
		said[a.Key] = true
		return true
	})
	record = record.Clone()
	for _, a := range about {
		if !said[a.Key] || h.groups {
			record.AddAttrs(a)
		}
	}
	return h.next.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b bytes.Buffer
	for _, a := range attrs {
		flatten(&b, h.prefix, a)
	}
	return &logHandler{next: h.next.WithAttrs(attrs), text: h.text + b.String(), prefix: h.prefix, groups: h.groups}
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &logHandler{next: h.next.WithGroup(name), text: h.text, prefix: h.prefix + name + ".", groups: true}
}

// about says which attempt it is.
func (r *run) about() []slog.Attr {
	t := r.message
	attrs := []slog.Attr{
		slog.String("production", t.GetProduction()), slog.String("distribution", t.GetDistribution()),
		slog.String("unit", t.GetUnit()), slog.String("step", t.GetStep()), slog.Int("attempt", int(t.GetAttempt())),
	}
	id, ok := traceid.Of(t.GetDistribution(), t.GetUnit())
	if ok {
		attrs = append(attrs, slog.String("trace_id", id.String()))
	}
	return attrs
}

// keep keeps a line with the attempt, in place of the oldest when there are too many.
func (r *run) keep(record slog.Record, h *logHandler) {
	var b bytes.Buffer
	b.WriteString(record.Message)
	record.Attrs(func(a slog.Attr) bool {
		flatten(&b, h.prefix, a)
		return b.Len() <= 2*lineBytes
	})
	// What the logger was made with is about the process more than about the attempt: it comes last.
	b.WriteString(h.text)
	line := &taskv1.LogLine{
		Time: timestamppb.New(record.Time), Level: strings.ToLower(clip(levelName(record.Level), 8)),
		Text: clip(strings.ToValidUTF8(strings.ReplaceAll(b.String(), "\x00", "�"), "�"), lineBytes),
	}
	if record.Time.IsZero() {
		line.Time = timestamppb.Now()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	n := r.notes()
	if len(n.lines) == keptLines {
		n.lines = n.lines[:copy(n.lines, n.lines[1:])]
	}
	n.lines = append(n.lines, line)
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

// flatten writes " key=value", with a group's attributes as "group.key=value".
func flatten(b *bytes.Buffer, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, in := range v.Group() {
			flatten(b, prefix, in)
		}
		return
	}
	if a.Equal(slog.Attr{}) || b.Len() > 2*lineBytes {
		return
	}
	text := clip(valueText(v), lineBytes)
	if text == "" || strings.ContainsAny(text, " \"=\n\r\t") {
		text = strconv.Quote(text)
	}
	b.WriteString(" " + prefix + a.Key + "=" + text)
}

// valueText is a value as it says itself. Never by reflection into what is not exported, where a secret would not know that
// it is printed. What cannot say itself says that: no line of a log ends what it tells of.
func valueText(v slog.Value) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("!PANIC: %v", p)
			if at := reflect.ValueOf(v.Any()); at.Kind() == reflect.Pointer && at.IsNil() {
				text = "nil"
			}
		}
	}()
	if v.Kind() == slog.KindTime {
		return v.Time().UTC().Format(time.RFC3339Nano)
	}
	if v.Kind() != slog.KindAny {
		return v.String()
	}
	switch x := v.Any().(type) {
	case nil:
		return "nil"
	case error:
		return x.Error()
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err == nil {
			return string(text)
		}
	case fmt.Stringer:
		return x.String()
	}
	raw, err := json.Marshal(v.Any())
	if err != nil {
		return fmt.Sprintf("%T", v.Any())
	}
	return string(raw)
}
