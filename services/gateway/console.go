package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// consolePolicy lets the console's pages run what came from here, and nothing else; no script and no style that stands in
// a page, and no page of anybody's around them. It goes with every file, since a worker's is that of its script.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; " +
	"connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

const indexName = "index.html"

// console serves the console's files. Addresses without a file of that name and without a dot in their last part are
// places inside the console, which finds its way from index.html. Beside a file x there may be x.br and x.gz, the same
// bytes compressed: whoever takes that gets it. Neither is a file by itself.
type console struct {
	files   fs.FS
	missing http.HandlerFunc
	fail    func(http.ResponseWriter, *http.Request, error)

	mu   sync.Mutex
	tags map[string]tag
}

// tag is what was found out about a file as it was then.
type tag struct {
	modified time.Time
	size     int64
	etag     string
}

// codings are what a sibling's name ends in, by Content-Encoding, the one that is smaller first.
var codings = []struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}}

// types are those that the console has; what mime knows depends on the machine.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon",
	".woff2": "font/woff2", ".wasm": "application/wasm", ".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8",
}

func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.Trim(r.URL.Path, "/")
	if name == "" {
		name = indexName
	}
	if !fs.ValidPath(name) || c.compressed(name) {
		c.missing(w, r)
		return
	}
	info, err := fs.Stat(c.files, name)
	if err != nil || info.IsDir() {
		if strings.Contains(path.Base(name), ".") {
			c.missing(w, r)
			return
		}
		name = indexName
	}
	err = c.send(w, r, name)
	if errors.Is(err, fs.ErrNotExist) {
		c.missing(w, r)
	} else if err != nil {
		c.fail(w, r, err)
	}
}

// compressed reports whether name is another file in fewer bytes.
func (c *console) compressed(name string) bool {
	for _, coding := range codings {
		plain, ok := strings.CutSuffix(name, coding.suffix)
		if ok {
			_, err := fs.Stat(c.files, plain)
			return err == nil
		}
	}
	return false
}

func (c *console) send(w http.ResponseWriter, r *http.Request, name string) error {
	file, coding, varies := name, "", false
	accepted := r.Header.Values("Accept-Encoding")
	for _, o := range codings {
		_, err := fs.Stat(c.files, name+o.suffix)
		if err != nil {
			continue
		}
		varies = true
		if coding == "" && accepts(accepted, o.name) {
			file, coding = name+o.suffix, o.name
		}
	}
	data, etag, err := c.read(file)
	if err != nil {
		return err
	}
	kind, ok := types[path.Ext(name)]
	if !ok {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", consolePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("ETag", etag)
	h.Set("Cache-Control", "no-cache") // kept, and asked for again by its ETag
	if hashed(name) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if varies {
		h.Set("Vary", "Accept-Encoding")
	}
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	return nil
}

// read returns a file's bytes and their ETag, which is made once for each file as it stands.
func (c *console) read(name string) (data []byte, etag string, err error) {
	info, err := fs.Stat(c.files, name)
	if err != nil {
		return nil, "", fmt.Errorf("look for %s of the console: %w", name, err)
	}
	data, err = fs.ReadFile(c.files, name)
	if err != nil {
		return nil, "", fmt.Errorf("read %s of the console: %w", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.tags[name]
	if !ok || !known.modified.Equal(info.ModTime()) || known.size != int64(len(data)) {
		sum := sha256.Sum256(data)
		known = tag{modified: info.ModTime(), size: int64(len(data)), etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
		c.tags[name] = known
	}
	return data, known.etag, nil
}

var hashInName = regexp.MustCompile(`[-.]([A-Za-z0-9_]{8,64})\.[a-z0-9]+$`)

// hashed reports whether a file's name changes with its bytes: its last part looks like a hash, not like a word or a date.
// A hash that does not look like one is only asked for more often than it need be.
func hashed(name string) bool {
	found := hashInName.FindStringSubmatch(path.Base(name))
	if found == nil {
		return false
	}
	part := found[1]
	digits := strings.ContainsAny(part, "0123456789")
	hex := strings.Trim(part, "0123456789abcdef") == "" && strings.ContainsAny(part, "abcdef")
	mixed := strings.ToLower(part) != part && strings.ToUpper(part) != part
	return digits && (hex || mixed)
}

// accepts reports whether a client takes a coding (RFC 9110, 12.5.3).
func accepts(headers []string, coding string) bool {
	for item := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, parameters, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		weight, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q=")
		if !ok {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}
