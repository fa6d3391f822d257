package index

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/filigreehq/filigree/pkg/traceid"
)

var (
	ulidForm = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)
	codeForm = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
)

// straight finds things by their ids. sure: nothing else can be meant.
func (s *searching) straight(word string) (hits []Hit, sure bool, err error) {
	upper := strings.ToUpper(word)
	id, unit, dotted := strings.Cut(upper, ".")
	switch {
	case ulidForm.MatchString(id):
		hit, err := s.unit(id, id, unitOf(unit, dotted), "")
		return hit, true, err
	case len(word) == 64 && isHex(word):
		hits, err := s.bySHA(strings.ToLower(word))
		return hits, true, err
	}
	trace, err := traceid.Parse(word)
	if err == nil {
		hits, err := s.unit(trace.First, trace.Last, trace.Unit(), "trace")
		if err != nil || len(hits) > 0 {
			return hits, true, err
		}
	}
	if strings.Contains(word, "@") {
		hits, err := s.byMessage(bareMessageID(word))
		if err != nil || len(hits) > 0 {
			return hits, true, err
		}
	}
	if s.wants("run") {
		hits, err = s.byRun(word)
		return hits, len(hits) > 0, err
	}
	return nil, false, nil
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil
}

// unitOf is the unit that the rest of an item's or recipient's id names: "2.7", "R7", "F2".
func unitOf(rest string, dotted bool) string {
	if !dotted {
		return "d"
	}
	rest = strings.ToLower(rest)
	if rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		return "i" + rest
	}
	return rest
}

// unit finds a unit of the distribution between first and last.
func (s *searching) unit(first, last, unit, kind string) ([]Hit, error) {
	var n int64
	there, err := s.one("SELECT n FROM distributions WHERE id BETWEEN ? AND ? AND run = 0 LIMIT 1", []any{first, last}, &n)
	if err != nil || !there {
		return nil, err
	}
	d, err := s.distribution(n)
	if err != nil || d == nil {
		return nil, err
	}
	var hit *Hit
	file, recipient, ok := numbers(unit)
	switch {
	case !ok:
		return nil, nil
	case recipient > 0:
		hit, err = s.hit(docOf(n, ofRecipient, recipient))
	case file > 0:
		hit, err = s.hit(docOf(n, ofFile, file))
	default:
		hit, err = s.hit(docOf(n, ofDistribution, 0))
	}
	if err != nil || hit == nil {
		return nil, err
	}
	if file > 0 && recipient > 0 {
		there, err := s.item(n, file, unit, hit)
		if err != nil || !there {
			return nil, err
		}
	}
	if kind != "" {
		hit.Kind = kind
	}
	if !s.wants(hit.Kind) {
		return nil, nil
	}
	return []Hit{*hit}, nil
}

// item makes an item's hit of its recipient's.
func (s *searching) item(n int64, file int, unit string, hit *Hit) (bool, error) {
	var name string
	there, err := s.one("SELECT name FROM files WHERE doc = ?", []any{docOf(n, ofFile, file)}, &name)
	if err != nil || !there {
		return false, err
	}
	hit.Kind, hit.Unit, hit.State = "item", unit, ""
	hit.Name, hit.Detail = name, hit.Name+" <"+hit.Detail+">"
	hit.Code = ""
	_, err = s.one("SELECT code FROM failures WHERE n = ? AND unit = ? AND state <> 'resolved' LIMIT 1", []any{n, unit}, &hit.Code)
	return true, err
}

func numbers(unit string) (file, recipient int, ok bool) {
	if unit == "d" {
		return 0, 0, true
	}
	if unit == "" {
		return 0, 0, false
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return -1
		}
		return n
	}
	switch unit[0] {
	case 'f':
		file = number(unit[1:])
	case 'r':
		recipient = number(unit[1:])
	case 'i':
		f, r, _ := strings.Cut(unit[1:], ".")
		file, recipient = number(f), number(r)
	}
	return file, recipient, file >= 0 && recipient >= 0 && file+recipient > 0
}

func (s *searching) bySHA(sha string) ([]Hit, error) {
	if !s.wants("file") {
		return nil, nil
	}
	return s.docs("SELECT doc FROM files WHERE sha256 = ? ORDER BY doc DESC LIMIT ?", sha, looks)
}

func (s *searching) byMessage(id string) ([]Hit, error) {
	if !s.wants("message") {
		return nil, nil
	}
	hits, err := s.docs("SELECT doc FROM messages WHERE id = ? ORDER BY doc DESC LIMIT ?", id, looks)
	for i := range hits {
		hits[i].Kind = "message"
	}
	return hits, err
}

func (s *searching) byRun(id string) ([]Hit, error) {
	return s.docs("SELECT n << 20 FROM distributions WHERE id = ? AND run = 1 ORDER BY n DESC LIMIT ?", id, looks)
}

// docs makes hits of what a query finds, as many as are asked for.
func (s *searching) docs(query string, args ...any) ([]Hit, error) {
	rows, err := s.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var hits []Hit
	for len(hits) < s.q.Most && rows.Next() {
		var doc int64
		err = rows.Scan(&doc)
		if err != nil {
			return nil, err
		}
		hit, err := s.hit(doc)
		if err != nil {
			return nil, err
		}
		if hit != nil {
			hits = append(hits, *hit)
		}
	}
	return hits, rows.Err()
}

// byCode finds what failed with a code.
func (s *searching) byCode(code string) ([]Hit, string, error) {
	n, unit := int64(1)<<62, ""
	if s.q.After != "" {
		rest, ok := strings.CutPrefix(s.q.After, "code.")
		a, u, two := strings.Cut(rest, ".")
		number, err := strconv.ParseInt(a, 10, 64)
		if !ok {
			return nil, "", nil
		}
		if !two || err != nil {
			return nil, "", ErrToken
		}
		n, unit = number, u
	}
	rows, err := s.query(`SELECT DISTINCT n, unit FROM failures WHERE code = ? AND (n, unit) < (?, ?) ORDER BY n DESC, unit DESC LIMIT ?`, code, n, unit, looks+1)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	var hits []Hit
	for rows.Next() {
		if len(hits) == s.q.Most || enough(s.looked, s.from) {
			return hits, fmt.Sprintf("code.%d.%s", n, unit), nil
		}
		s.looked++
		err = rows.Scan(&n, &unit)
		if err != nil {
			return nil, "", err
		}
		file, recipient, ok := numbers(unit)
		doc := docOf(n, ofDistribution, 0)
		switch {
		case !ok:
			continue
		case recipient > 0:
			doc = docOf(n, ofRecipient, recipient)
		case file > 0:
			doc = docOf(n, ofFile, file)
		}
		hit, err := s.hit(doc)
		if err != nil {
			return nil, "", err
		}
		if hit == nil {
			continue
		}
		if file > 0 && recipient > 0 {
			_, err = s.item(n, file, unit, hit)
			if err != nil {
				return nil, "", err
			}
		}
		hit.Code = code
		if s.wants(hit.Kind) {
			hits = append(hits, *hit)
		}
	}
	return hits, "", rows.Err()
}

// byAddress finds whoever has just this address: then nobody else is meant.
func (s *searching) byAddress(address string) ([]Hit, string, error) {
	doc := int64(1) << 62
	rest, ours := strings.CutPrefix(s.q.After, "@.")
	if !strings.Contains(address, "@") || !s.wants("recipient") || s.q.After != "" && !ours {
		return nil, "", nil
	}
	if ours {
		n, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return nil, "", ErrToken
		}
		doc = n
	}
	rows, err := s.query("SELECT doc FROM recipients WHERE address = ? AND doc < ? ORDER BY doc DESC", address, doc)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	var hits []Hit
	for rows.Next() {
		if len(hits) == s.q.Most || enough(s.looked, s.from) {
			return hits, fmt.Sprintf("@.%d", doc), nil
		}
		s.looked++
		err = rows.Scan(&doc)
		if err != nil {
			return nil, "", err
		}
		hit, err := s.hit(doc)
		if err != nil {
			return nil, "", err
		}
		if hit != nil {
			hits = append(hits, *hit)
		}
	}
	return hits, "", rows.Err()
}
