package cli_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// pdfCmd is `pdf FILE PAGES`: it writes a plain document.
func pdfCmd(ts *testscript.TestScript, _ bool, args []string) {
	pages, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(writePDF(ts.MkAbs(args[0]), pages))
}

func writePDF(path string, pages int) error {
	var b bytes.Buffer
	var offsets []int
	object := func(format string, args ...any) {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n"+format+"\nendobj\n", append([]any{len(offsets)}, args...)...)
	}
	b.WriteString("%PDF-1.7\n")
	var kids []string
	for n := range pages {
		kids = append(kids, fmt.Sprintf("%d 0 R", 4+2*n))
	}
	object("<</Type/Catalog/Pages 2 0 R>>")
	object("<</Type/Pages/Count %d/Kids[%s]/MediaBox[0 0 595 842]>>", pages, strings.Join(kids, " "))
	object("<</Type/Font/Subtype/Type1/BaseFont/Courier>>")
	for n := range pages {
		object("<</Type/Page/Parent 2 0 R/Contents %d 0 R/Resources<</Font<</F 3 0 R>>>>>>", 5+2*n)
		text := fmt.Sprintf("BT /F 12 Tf 72 720 Td (INT. STUDIO - DAY, page %d) Tj ET", n+1)
		object("<</Length %d>>\nstream\n%s\nendstream", len(text), text)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, start)
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// recordedCmd is `recorded COPIES N FILE NAME EMAIL`: the record has N lines, one of which is about FILE as it is.
func recordedCmd(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")
	if fmt.Sprint(len(lines)) != args[1] {
		ts.Fatalf("%d lines, want %s:\n%s", len(lines), args[1], strings.Join(lines, "\n"))
	}
	sum := sha256.Sum256([]byte(ts.ReadFile(args[2])))
	for _, line := range lines {
		var l struct{ Artifact, SHA256, Name, Email, Time string }
		ts.Check(json.Unmarshal([]byte(line), &l))
		if l.SHA256 == hex.EncodeToString(sum[:]) && l.Name == args[3] && l.Email == args[4] && l.Artifact != "" && l.Time != "" {
			return
		}
	}
	ts.Fatalf("no line is about %s:\n%s", args[2], strings.Join(lines, "\n"))
}
