package link

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/filigreehq/filigree/services/link/internal/store"
)

// The reader's files are built from services/console/web/reader by `make web`.
//
//go:embed all:reader
var readerFiles embed.FS

const readerPrefix = "/reader/"

// readerCSP lets the reader run its own script and decoders, and draw what it made from the document; it fetches nothing
// that is not from here.
const readerCSP = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data: blob:; font-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// readers holds the reader's files as they are sent. They are the same for everybody, and their addresses name their
// content, so that browsers may keep them.
type readers struct {
	version string
	mu      sync.Mutex
	packed  map[string][]byte // by name, compressed when first asked for
}

func newReaders() *readers {
	sum := sha256.New()
	err := fs.WalkDir(readerFiles, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := readerFiles.ReadFile(name)
		sum.Write([]byte(name))
		sum.Write(data)
		return err
	})
	if err != nil {
		panic(err) // what was compiled in cannot fail to be read
	}
	return &readers{version: hex.EncodeToString(sum.Sum(nil)[:8]), packed: map[string][]byte{}}
}

// url is the address of one of the files.
func (r *readers) url(name string) string { return readerPrefix + r.version + "/" + name }

var readerTypes = map[string]string{".mjs": "text/javascript; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".wasm": "application/wasm", ".css": "text/css; charset=utf-8"}

// serveReaderFile serves one of the reader's files.
func (s *Server) serveReaderFile(a *answer, r *http.Request, rest string) {
	callFrom(r).route = readerPrefix + "*"
	if !s.allows(a, r, http.MethodGet, http.MethodHead) {
		return
	}
	version, name, _ := strings.Cut(rest, "/")
	data, err := readerFiles.ReadFile("reader/" + name)
	if version != s.readers.version || err != nil {
		s.fail(a, r, errUnknown())
		return
	}
	kind := readerTypes[path.Ext(name)]
	if kind == "" {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	a.csp, a.keep = readerCSP, true
	if len(data) > 1<<10 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		data = s.readers.compress(name, data)
		a.Header().Set("Content-Encoding", "gzip")
	}
	write(a, r, http.StatusOK, kind, data)
}

func (r *readers) compress(name string, data []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	packed, ok := r.packed[name]
	if ok {
		return packed
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data) // into memory
	_ = w.Close()
	r.packed[name] = b.Bytes()
	return b.Bytes()
}

type readerPage struct {
	Name, Document, Back string
	Script, Style        string
}

// serveReader serves the page that shows a copy without the device's own viewer. It holds nothing of the document, which
// its script fetches piece by piece like any other transfer: cut when the link is taken back.
func (s *Server) serveReader(a *answer, r *http.Request, v visit, d store.Document) {
	if !readable(d.MediaType) {
		s.fail(a, r, errUnknown())
		return
	}
	document := strings.TrimSuffix(r.URL.Path, "/read")
	s.writePage(a, r, http.StatusOK, s.pages.reader, readerPage{
		Name: d.Name, Document: document, Back: sessionPrefix + v.session, Script: s.readers.url("reader.js"), Style: s.readers.url("reader.css"),
	})
}

// readable reports whether the reader shows a type.
func readable(mediaType string) bool { return mediaType == "application/pdf" }
