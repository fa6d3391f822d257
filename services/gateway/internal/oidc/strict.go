package oidc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxToken is the longest ID token that is looked at, in bytes: some hundreds of groups.
const maxToken = 32 << 10

// algorithms are those by which an ID token may be signed: with a public key, so that nobody can pass that key off as a
// secret.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// forbidden are header fields that name keys of the token's own choosing, or ask for what is not done here.
var forbidden = []string{"jku", "jwk", "x5u", "x5c", "crit", "cty", "zip", "enc"}

type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// inspect looks at a token before anything is believed of it. The libraries that read it next take the last of two equal
// names, others the first.
func inspect(raw string) (header, error) {
	var h header
	if len(raw) > maxToken {
		return h, fmt.Errorf("it has %d bytes, and %d is the most", len(raw), maxToken)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return h, fmt.Errorf("it has %d parts, not three", len(parts))
	}
	for i, name := range []string{"header", "payload"} {
		text, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil {
			return h, fmt.Errorf("its %s is not base64url", name)
		}
		names, err := object(text)
		if err != nil {
			return h, fmt.Errorf("its %s: %w", name, err)
		}
		if i > 0 {
			break
		}
		for _, f := range forbidden {
			if slices.Contains(names, f) {
				return h, fmt.Errorf("its header has %q", f)
			}
		}
		err = json.Unmarshal(text, &h)
		if err != nil {
			return h, errors.New("its header is not one of a token")
		}
	}
	if h.Type != "" && !strings.EqualFold(h.Type, "JWT") {
		return h, errors.New("it is of another type than an ID token")
	}
	if !slices.Contains(algorithms, h.Algorithm) {
		return h, errors.New("it is not signed by an algorithm with a public key")
	}
	return h, nil
}

// object checks that text is one JSON object in which no name is there twice, at any depth, and returns its names.
func object(text []byte) ([]string, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	first, err := dec.Token()
	if err != nil || first != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	names, err := members(dec, 0)
	if err != nil {
		return nil, err
	}
	_, err = dec.Token()
	if !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return names, nil
}

const maxDepth = 16

// members reads the rest of an object. Names are compared without regard to case, since encoding/json reads them so.
func members(dec *json.Decoder, depth int) (names []string, err error) {
	seen := map[string]bool{}
	for {
		t, err := dec.Token()
		if err != nil {
			return nil, errors.New("the JSON is broken")
		}
		if t == json.Delim('}') {
			return names, nil
		}
		name, _ := t.(string) // the decoder takes nothing else here
		if seen[strings.ToLower(name)] {
			return nil, fmt.Errorf("a name is there twice")
		}
		seen[strings.ToLower(name)] = true
		names = append(names, name)
		err = value(dec, depth+1)
		if err != nil {
			return nil, err
		}
	}
}

func value(dec *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errors.New("the JSON is too deep")
	}
	t, err := dec.Token()
	if err != nil {
		return errors.New("the JSON is broken")
	}
	switch t {
	case json.Delim('{'):
		_, err = members(dec, depth)
		return err
	case json.Delim('['):
		for dec.More() {
			err = value(dec, depth+1)
			if err != nil {
				return err
			}
		}
		_, err = dec.Token()
		if err != nil {
			return errors.New("the JSON is broken")
		}
	}
	return nil
}
