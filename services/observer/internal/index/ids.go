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

// How tokens of searches begin that need not look at texts.
const (
	byHash    = "#."
	byAddress = "@."
	byCode    = "code."
)

// none at the end of such a token says that no page had a hit yet: texts are looked at then, in the end.
const none = ".none"

// bySHA finds a file wherever it was sent.
func (s *searching) bySHA(sha string) ([]Hit, string, bool, error) {
	if !s.wants("file") {
		return nil, "", true, nil
	}
	return s.listed(byHash, "SELECT doc, p FROM files WHERE sha256 = ? AND doc < ? ORDER BY doc DESC", sha)
}

// addressed lists who has an address now, of all of whom it is written.
const addressed = "SELECT w.doc, w.p FROM wholes w CROSS JOIN recipients r ON r.doc = w.doc AND r.address = w.text WHERE w.text = ? AND w.doc < ? ORDER BY w.doc DESC"

// byAddress finds whoever has just this address: then nobody else is meant.
func (s *searching) byAddress(address string) ([]Hit, string, bool, error) {
	return s.listed(byAddress, addressed, Fold(address))
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

// docs makes hits of what a query finds, as many as are asked for. It is for what few things have.
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

// going is where a page begins: what stands in its token after kind, and whether the pages before had hits.
func (s *searching) going(kind string) (at string, found bool) {
	at = strings.TrimPrefix(s.q.After, kind)
	at, empty := strings.CutSuffix(at, none)
	return at, s.q.After != "" && !empty
}

// listed makes hits of what a query lists for what; its tokens begin with kind. found: there were some, or may be.
func (s *searching) listed(kind, query, what string) (hits []Hit, next string, found bool, err error) {
	doc := int64(1) << 62
	at, found := s.going(kind)
	if s.q.After != "" {
		doc, err = strconv.ParseInt(at, 10, 64)
		if err != nil || !strings.HasPrefix(s.q.After, kind) {
			return nil, "", false, ErrToken
		}
	}
	last, more, err := s.list(query, []any{what}, doc, func(doc int64) (bool, error) {
		if len(hits) == s.q.Most {
			return false, nil
		}
		hit, err := s.hit(doc)
		if err == nil && hit != nil {
			hits = append(hits, *hit)
		}
		return true, err
	})
	return s.page(hits, found, more, kind+strconv.FormatInt(last, 10), err)
}

// page is what a search answers that need not look at texts.
func (s *searching) page(hits []Hit, found, more bool, token string, err error) ([]Hit, string, bool, error) {
	found = found || len(hits) > 0
	switch {
	case err != nil:
		return nil, "", false, err
	case !more:
		return hits, "", found, nil
	case !found:
		token += none
	}
	return hits, token, true, nil
}

// byCode finds what failed with a code.
func (s *searching) byCode(code string) (hits []Hit, next string, found bool, err error) {
	n, unit := int64(1)<<62, ""
	at, found := s.going(byCode)
	if s.q.After != "" {
		a, u, two := strings.Cut(at, ".")
		n, err = strconv.ParseInt(a, 10, 64)
		if err != nil || !two {
			return nil, "", false, ErrToken
		}
		unit = u
	}
	more := false
	rows, err := s.query("SELECT DISTINCT n, unit, p FROM failures WHERE code = ? AND (n, unit) < (?, ?) ORDER BY n DESC, unit DESC", code, n, unit)
	if err != nil {
		return nil, "", false, err
	}
	defer rows.Close()
	for rows.Next() {
		if len(hits) == s.q.Most || s.over() {
			more = true
			break
		}
		s.looked++
		var p int64
		err = rows.Scan(&n, &unit, &p)
		if err != nil {
			return nil, "", false, err
		}
		if !s.has(p) {
			continue
		}
		hit, err := s.failed(n, unit)
		if err != nil {
			return nil, "", false, err
		}
		if hit == nil {
			continue
		}
		hit.Code = code
		if s.wants(hit.Kind) {
			hits = append(hits, *hit)
		}
	}
	return s.page(hits, found, more, fmt.Sprintf("%s%d.%s", byCode, n, unit), rows.Err())
}

// failed reads what a unit is that failed; nil: gone.
func (s *searching) failed(n int64, unit string) (*Hit, error) {
	file, recipient, ok := numbers(unit)
	doc := docOf(n, ofDistribution, 0)
	switch {
	case !ok:
		return nil, nil
	case recipient > 0:
		doc = docOf(n, ofRecipient, recipient)
	case file > 0:
		doc = docOf(n, ofFile, file)
	}
	hit, err := s.hit(doc)
	if err != nil || hit == nil || file == 0 || recipient == 0 {
		return hit, err
	}
	_, err = s.item(n, file, unit, hit)
	return hit, err
}
