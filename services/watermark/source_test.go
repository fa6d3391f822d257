package watermark_test

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// source builds small PDFs, sane and otherwise, of objects numbered from 1. The catalogue is the first.
type source struct {
	objects []string
	trailer string
}

// add appends an object and returns its number.
func (s *source) add(format string, args ...any) int {
	s.objects = append(s.objects, fmt.Sprintf(format, args...))
	return len(s.objects)
}

func (s *source) stream(dict string, data []byte) int {
	return s.add("<<%s /Length %d>>\nstream\n%s\nendstream", dict, len(data), data)
}

func (s *source) bytes() []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	offsets := make([]int, len(s.objects))
	for i, o := range s.objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(s.objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d /Root 1 0 R %s>>\nstartxref\n%d\n%%%%EOF\n", len(s.objects)+1, s.trailer, at)
	return b.Bytes()
}

func (s *source) write(tb testing.TB) string {
	tb.Helper()
	return write(tb, s.bytes())
}

func write(tb testing.TB, data []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "source.pdf")
	err := os.WriteFile(path, data, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// pages makes a document of n pages with some lines of text each, and more in catalogue and pages.
func pages(n int, catalog, page string) *source {
	s := &source{}
	s.add("<</Type/Catalog/Pages 2 0 R %s>>", catalog)
	s.add("")
	s.add("<</Type/Font/Subtype/Type1/BaseFont/Courier>>")
	var kids bytes.Buffer
	for i := range n {
		var text bytes.Buffer
		text.WriteString("BT /F1 12 Tf 100 720 Td 14 TL\n")
		for line := range 50 {
			fmt.Fprintf(&text, "(Scene %d, line %d: somebody says something %d) '\n", i, line, (i*7919+line*104729)%99991)
		}
		text.WriteString("ET")
		content := s.stream("/Filter/FlateDecode", deflate(text.Bytes()))
		p := s.add("<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>> %s>>", content, page)
		fmt.Fprintf(&kids, "%d 0 R ", p)
	}
	s.objects[1] = fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]>>", n, kids.String())
	return s
}

// onePage makes a document whose page has content and page entries as they are.
func onePage(page string, content []byte) *source {
	s := &source{}
	s.add("<</Type/Catalog/Pages 2 0 R>>")
	s.add("<</Type/Pages/Count 1/Kids[3 0 R]>>")
	s.add("<</Type/Page/Parent 2 0 R/Contents 4 0 R %s>>", page)
	s.stream("/Filter/FlateDecode", deflate(content))
	return s
}

func deflate(data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, err := z.Write(data)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}
