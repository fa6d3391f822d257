package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/filigreehq/filigree/pkg/fault"
)

const (
	// sessionCookie is the name of the cookie of who is signed in.
	sessionCookie = "filigree_console"
	// headerCSRF carries a session's CSRF token with each call that changes something.
	headerCSRF = "X-Filigree-CSRF"
	// secretLength is how long a session's secret is: 256 bits in base64.
	secretLength = 43
)

// site is where browsers find the console, and what they may be believed.
type site struct {
	origin string // as browsers write it; empty: it is not known
	secure bool   // browsers come by https
}

// siteOf reads --public-url.
func siteOf(public string) (site, error) {
	if public == "" {
		return site{}, nil
	}
	u, err := url.Parse(public)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return site{}, fmt.Errorf("public-url %q is not of the form https://host or https://host:port", public)
	}
	host := strings.ToLower(u.Host)
	for scheme, port := range map[string]string{"http": ":80", "https": ":443"} {
		if u.Scheme == scheme {
			host = strings.TrimSuffix(host, port)
		}
	}
	return site{origin: u.Scheme + "://" + host, secure: u.Scheme == "https"}, nil
}

// cookie makes a cookie of ours; an empty value removes it. With https its name keeps neighbours from planting one
// (RFC 6265bis, 4.1.3.2).
func (s site) cookie(name, value string, same http.SameSite) *http.Cookie {
	c := &http.Cookie{Name: s.named(name), Value: value, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: same}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

func (s site) named(name string) string {
	if s.secure {
		return "__Host-" + name
	}
	return name
}

// read returns the value of a cookie of ours. One that is there twice was planted, and neither is believed.
func (s site) read(r *http.Request, name string) (string, bool) {
	found := r.CookiesNamed(s.named(name))
	if len(found) != 1 || len(found[0].Value) != secretLength {
		return "", false
	}
	return found[0].Value, true
}

// session returns the secret of the session that a browser has.
func (s site) session(r *http.Request) (string, bool) { return s.read(r, sessionCookie) }

func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// admit decides whether a call may be made with the session that came along with it: never for another site, and to
// change something only for a page that knows the session's CSRF token.
func (s site) admit(r *http.Request, secret string) error {
	err := s.ours(r)
	if err != nil {
		return err
	}
	if !changes(r.Method) {
		return nil
	}
	values := r.Header.Values(headerCSRF)
	if len(values) != 1 || subtle.ConstantTimeCompare([]byte(values[0]), []byte(csrfOf(secret))) != 1 {
		return fault.New(fault.Denied, codeCSRF, "a call with a browser's session must have the header %s once, with the csrf_token of GET %s", headerCSRF, sessionPath)
	}
	return nil
}

// ours refuses what a browser says comes from elsewhere: another site, another origin of the same site, such as that of
// recipients' links, or nowhere that it would name. A browser that says nothing keeps the cookie to itself (SameSite).
func (s site) ours(r *http.Request) error {
	foreign := fault.New(fault.Denied, codeCSRF, "this call comes from a page of another origin, and is not made with the session of this one")
	fetch := r.Header.Values("Sec-Fetch-Site")
	if len(fetch) > 0 {
		typed := fetch[0] == "none" && !changes(r.Method) // into the address bar
		if len(fetch) > 1 || fetch[0] != "same-origin" && !typed {
			return foreign
		}
	}
	origin := r.Header.Values("Origin")
	if len(origin) > 1 || len(origin) == 1 && !s.is(origin[0], r.Host) {
		return foreign
	}
	return nil
}

// is reports whether origin is this site's.
func (s site) is(origin, host string) bool {
	if s.origin != "" {
		return origin == s.origin
	}
	return strings.EqualFold(origin, "http://"+host) || strings.EqualFold(origin, "https://"+host)
}

// csrfOf is the CSRF token of the session with this secret. It follows from the secret, so nothing keeps it.
func csrfOf(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("filigree csrf v1")) // never fails (hash.Hash)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
