package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua lua/lib/*.lua
var luaFiles embed.FS

// A script pairs an embedded Lua file with the decoder of its reply.
type script[R any] struct {
	name string
	*redis.Script
	decode func(reply) (R, error)
}

func load[R any](name string, decode func(reply) (R, error)) script[R] {
	return script[R]{name: name, Script: redis.NewScript(source(name)), decode: decode}
}

// begins is the first line of a script's comment that names what it has in common with others.
var begins = regexp.MustCompile(`^#!lua\n-- Begins with (lib/\w+\.lua)( and (lib/\w+\.lua))?\.\n`)

// source is what Redis is given of a script: the files that it begins with, and its own.
func source(name string) string {
	text := embedded(name + ".lua")
	m := begins.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	common := embedded(m[1])
	if m[3] != "" {
		common += embedded(m[3])
	}
	return "#!lua\n" + common + strings.TrimPrefix(text, "#!lua\n")
}

func embedded(file string) string {
	text, err := luaFiles.ReadFile("lua/" + file)
	if err != nil {
		panic(err) // a programmer's error: the file is embedded beside this one
	}
	return string(text)
}

// Digests names every script by the digest that Redis knows it by.
func Digests() map[string]string {
	out := map[string]string{}
	files, err := luaFiles.ReadDir("lua")
	if err != nil {
		panic(err) // as above
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".lua")
		if ok {
			out[redis.NewScript(source(name)).Hash()] = name
		}
	}
	return out
}

// run runs the script once; go-redis loads it where it is missing.
func (s script[R]) run(ctx context.Context, c redis.Scripter, keys []string, args ...any) (R, error) {
	var zero R
	v, err := s.Run(ctx, c, keys, args...).Result()
	if err != nil {
		return zero, fmt.Errorf("%s: %w", s.name, err)
	}
	out, err := s.decode(reply{v})
	if err != nil {
		return zero, fmt.Errorf("%s: %w", s.name, err)
	}
	return out, nil
}

var (
	createScript     = load("create", decodeCreated)
	defineScript     = load("define", decodeInt)
	layoutScript     = load("layout", decodeInt)
	claimScript      = load("claim", decodeList)
	settleScript     = load("settle", decodeSettled)
	checkpointScript = load("checkpoint", decodeInt)
	renewScript      = load("renew", decodeList)
	dueScript        = load("due", decodeList)
	choresScript     = load("chores", decodeList)
	cancelScript     = load("cancel", decodeInt)
	reviveScript     = load("revive", decodeInt)
	enlistScript     = load("enlist", decodeCreated)
	batchesScript    = load("batches", decodeList)
	advanceScript    = load("advance", decodeInt)
	haltScript       = load("halt", decodeInt)
	askScript        = load("ask", decodeInt)
	sweepScript      = load("sweep", decodeInt)
	straysScript     = load("strays", decodeList)
	pauseScript      = load("pause", decodeInt)
	releaseScript    = load("release", decodeInt)
	gatherScript     = load("gather", decodeInt)
	permitScript     = load("permit", decodeList)
	occupyScript     = load("occupy", decodeInt)
	heedScript       = load("heed", decodeInt)
	lifecycleScript  = load("lifecycle", decodeInt)
	archivedScript   = load("archived", decodeList)

	starterPutScript   = load("starter_put", decodeInt)
	scheduleDueScript  = load("schedule_due", decodeDueSchedules)
	scheduleMoveScript = load("schedule_move", decodeInt)
	hookFiredScript    = load("hook_fired", decodeInt)
)

// reply is what a script answered.
type reply struct{ v any }

var errShape = errors.New("the script's reply has an unknown shape")

func (r reply) list() ([]reply, error) {
	raw, ok := r.v.([]any)
	if !ok {
		return nil, errShape
	}
	out := make([]reply, len(raw))
	for i, v := range raw {
		out[i] = reply{v}
	}
	return out, nil
}

func (r reply) int() (int, error) {
	n, ok := r.v.(int64)
	if !ok {
		return 0, errShape
	}
	return int(n), nil
}

func (r reply) str() (string, error) {
	s, ok := r.v.(string)
	if !ok {
		return "", errShape
	}
	return s, nil
}

// strs decodes a list of strings and integers, all as strings.
func (r reply) strs() ([]string, error) {
	raw, ok := r.v.([]any)
	if !ok {
		return nil, errShape
	}
	out := make([]string, len(raw))
	for i, v := range raw {
		switch v := v.(type) {
		case string:
			out[i] = v
		case int64:
			out[i] = strconv.FormatInt(v, 10)
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return out, nil
}

func decodeInt(r reply) (int, error)      { return r.int() }
func decodeList(r reply) ([]reply, error) { return r.list() }

type created struct {
	code int
	id   string
}

func decodeCreated(r reply) (created, error) {
	list, err := r.list()
	if err != nil || len(list) != 2 {
		return created{}, errShape
	}
	code, err1 := list[0].int()
	id, err2 := list[1].str()
	return created{code, id}, errors.Join(err1, err2)
}

// settled is the reply of settle; mine is false when somebody else did the batch.
type settled struct {
	mine  bool
	ended string
	codes []int
}

func decodeSettled(r reply) (settled, error) {
	list, err := r.list()
	if err != nil || len(list) == 0 {
		return settled{}, errShape
	}
	mine, err := list[0].int()
	if err != nil || mine == 0 {
		return settled{}, err
	}
	if len(list) != 3 {
		return settled{}, errShape
	}
	ended, err1 := list[1].str()
	raw, err2 := list[2].list()
	out := settled{mine: true, ended: ended}
	for _, c := range raw {
		code, err := c.int()
		if err != nil {
			return settled{}, err
		}
		out.codes = append(out.codes, code)
	}
	return out, errors.Join(err1, err2)
}

type dueSchedules struct {
	now int64
	due [][]string
}

func decodeDueSchedules(r reply) (dueSchedules, error) {
	list, err := r.list()
	if err != nil || len(list) != 2 {
		return dueSchedules{}, errShape
	}
	now, err := list[0].int()
	if err != nil {
		return dueSchedules{}, err
	}
	due, err := list[1].list()
	out := dueSchedules{now: int64(now)}
	for _, d := range due {
		fields, err := d.strs()
		if err != nil || len(fields) == 0 {
			return dueSchedules{}, errShape
		}
		out.due = append(out.due, fields)
	}
	return out, err
}
