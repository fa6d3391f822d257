// Package webhook makes and checks calls that are signed as Standard Webhooks 1.0 says: HMAC-SHA-256 under a shared secret over
// the call's id, its timestamp and its body. It is pure: the time is what it is told.
package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	// Tolerance is how far a call's timestamp may be from now.
	Tolerance = 5 * time.Minute
	// Overlap is how long a secret works on after another took its place.
	Overlap = 24 * time.Hour

	prefix = "whsec_"
	// mostBefore bounds how many replaced secrets are kept; more cannot be in use within one Overlap.
	mostBefore = 5
)

// ErrSecrets: the text is not one of Secrets.String.
var ErrSecrets = errors.New("not the secrets of a webhook")

// Secrets are those that a call may be signed with: the present one, and for a while those before it.
type Secrets struct {
	current string
	before  []replaced
}

type replaced struct {
	secret string
	until  int64 // Unix seconds
}

// New returns secrets with a fresh one of 256 bits.
func New() Secrets { return Secrets{current: fresh()} }

func fresh() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return prefix + base64.StdEncoding.EncodeToString(b)
}

// Parse reads what String wrote, or one secret by itself, as a sender may have dictated it.
func Parse(text string) (Secrets, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return Secrets{}, ErrSecrets
	}
	s := Secrets{current: words[0]}
	_, err := key(s.current)
	if err != nil {
		return Secrets{}, ErrSecrets
	}
	for _, w := range words[1:] {
		until, secret, ok := strings.Cut(w, ":")
		seconds, err := strconv.ParseInt(until, 10, 64)
		if !ok || err != nil {
			return Secrets{}, ErrSecrets
		}
		s.before = append(s.before, replaced{secret, seconds})
	}
	return s, nil
}

// String is the secrets in one line, to be kept where nobody reads it.
func (s Secrets) String() string {
	words := []string{s.current}
	for _, b := range s.before {
		words = append(words, strconv.FormatInt(b.until, 10)+":"+b.secret)
	}
	return strings.Join(words, " ")
}

// Current is the secret to sign with.
func (s Secrets) Current() string { return s.current }

// Rotate puts a fresh secret in the place of the present one, which works on for Overlap, as do those before it for what
// is left of theirs: whoever rotates twice, as the first answer got lost, locks nobody out.
func (s Secrets) Rotate(now time.Time) Secrets {
	next := Secrets{current: fresh(), before: []replaced{{s.current, now.Add(Overlap).Unix()}}}
	for _, b := range s.before {
		if b.until > now.Unix() && len(next.before) < mostBefore {
			next.before = append(next.before, b)
		}
	}
	return next
}

// Signed reports whether signature, a list of "v1,<base64>" with spaces between, has one that is right for the call.
// How long it takes does not depend on how wrong they are.
func (s Secrets) Signed(id, timestamp string, body []byte, signature string, now time.Time) bool {
	ok := signed(s.current, id, timestamp, body, signature)
	for _, b := range s.before {
		if b.until > now.Unix() {
			ok = signed(b.secret, id, timestamp, body, signature) || ok
		}
	}
	return ok
}

func signed(secret, id, timestamp string, body []byte, signature string) bool {
	want, err := Sign(secret, id, timestamp, body)
	if err != nil {
		return false
	}
	ok := false
	for _, given := range strings.Fields(signature) {
		ok = hmac.Equal([]byte(given), []byte(want)) || ok
	}
	return ok
}

// Sign returns the signatures of a call, by the present secret and, for whoever does not know it yet, by those before it.
func (s Secrets) Sign(id, timestamp string, body []byte, now time.Time) (string, error) {
	signature, err := Sign(s.current, id, timestamp, body)
	for _, b := range s.before {
		if err == nil && b.until > now.Unix() {
			var more string
			more, err = Sign(b.secret, id, timestamp, body)
			signature += " " + more
		}
	}
	return signature, err
}

// Sign returns the signature of a call, "v1,<base64>".
func Sign(secret, id, timestamp string, body []byte) (string, error) {
	k, err := key(secret)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

func key(secret string) ([]byte, error) {
	k, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, prefix))
	if err != nil || len(k) < 16 {
		return nil, ErrSecrets
	}
	return k, nil
}

// Fresh reports whether timestamp, in Unix seconds, is within Tolerance of now.
func Fresh(timestamp string, now time.Time) bool {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	return err == nil && now.Sub(time.Unix(seconds, 0)).Abs() <= Tolerance
}
