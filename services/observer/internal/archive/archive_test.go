package archive_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/services/observer/internal/archive"
)

func open(t *testing.T) (archive.Store, string) {
	t.Helper()
	dir := t.TempDir()
	b, err := blob.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return archive.Store{Bucket: b}, dir
}

func events(n, from int) func(func(byte, []byte) error) error {
	return func(put func(byte, []byte) error) error {
		err := put(archive.Distribution, []byte("the distribution"))
		for i := range n {
			if err == nil {
				err = put(archive.Event, fmt.Appendf(nil, "event %d", from+i))
			}
		}
		return err
	}
}

func read(t *testing.T, s archive.Store, n, most int) (out []string, err error) {
	t.Helper()
	err = s.Read(t.Context(), "p", "D", n, func(kind byte, record []byte) (bool, error) {
		out = append(out, string(kind)+string(record))
		return len(out) < most, nil
	})
	return out, err
}

func TestSegmentsReadBackAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	all, err := s.Segments(t.Context(), "p", "D")
	if err != nil || len(all) != 0 {
		t.Fatalf("of nothing: %v, %v", all, err)
	}
	for n := 1; n <= 12; n++ {
		_, err = s.Write(t.Context(), "p", "D", n, events(1000, n*1000))
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err = s.Segments(t.Context(), "p", "D")
	if err != nil || !slices.Equal(all, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}) {
		t.Errorf("segments %v, %v", all, err)
	}
	got, err := read(t, s, 7, 1<<30)
	if err != nil || len(got) != 1001 || got[0] != "Dthe distribution" || got[1000] != "Eevent 7999" {
		t.Errorf("%d records, %v", len(got), err)
	}
	got, err = read(t, s, 7, 3)
	if err != nil || len(got) != 3 {
		t.Errorf("%d records, %v", len(got), err)
	}
	// Somebody else wrote it meanwhile: theirs stays.
	_, err = s.Write(t.Context(), "p", "D", 7, events(1, 0))
	if err != nil {
		t.Error(err)
	}
	got, _ = read(t, s, 7, 1<<30)
	if len(got) != 1001 {
		t.Errorf("it was written over: %d records", len(got))
	}
	err = s.Delete(t.Context(), "p", "D")
	if err != nil {
		t.Error(err)
	}
	_, err = read(t, s, 7, 1)
	if !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("after it was deleted: %v", err)
	}
}

// A source that fails leaves no half segment.
func TestNoHalfSegment(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	broken := errors.New("broken")
	_, err := s.Write(t.Context(), "p", "D", 1, func(put func(byte, []byte) error) error {
		_ = events(5000, 0)(put)
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	all, err := s.Segments(t.Context(), "p", "D")
	if err != nil || len(all) != 0 {
		t.Errorf("segments %v, %v", all, err)
	}
}

// Wherever a segment is cut or changed, it is an error, never a wrong record.
func TestDamageIsSeen(t *testing.T) {
	t.Parallel()
	s, dir := open(t)
	_, err := s.Write(t.Context(), "p", "D", 1, events(300, 0))
	if err != nil {
		t.Fatal(err)
	}
	var file string
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
		if !d.IsDir() && filepath.Base(path) == "1" {
			file = path
		}
		return nil
	})
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		_ = os.Remove(file)
		err := os.WriteFile(file, b, 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	for cut := 0; cut < len(whole); cut += 7 {
		put(whole[:cut])
		got, err := read(t, s, 1, 1<<30)
		if !errors.Is(err, archive.ErrDamaged) {
			t.Fatalf("cut at %d of %d: %d records, %v", cut, len(whole), len(got), err)
		}
	}
	for at := 20; at < len(whole); at += 11 {
		b := slices.Clone(whole)
		b[at] ^= 0x10
		put(b)
		_, err := read(t, s, 1, 1<<30)
		if err == nil {
			t.Fatalf("a bit of byte %d was changed, and nobody noticed", at)
		}
	}
}

// What is taken out is gone, everything else is there, and a stop at any point in between is mended by doing it again.
func TestTakeOut(t *testing.T) {
	t.Parallel()
	without := func(kind byte, record []byte) ([]byte, error) {
		if kind == archive.Event {
			return []byte("bare " + string(record)), nil
		}
		return record, nil
	}
	for _, stop := range []string{"", "before the first one is deleted", "while it is written"} {
		s, dir := open(t)
		_, err := s.Write(t.Context(), "p", "D", 1, events(3, 0))
		if err != nil {
			t.Fatal(err)
		}
		before, err := read(t, s, 1, 100)
		if err != nil {
			t.Fatal(err)
		}
		first := filepath.Join(dir, "arc", "p", "D", "1")
		kept, err := os.ReadFile(first)
		if err != nil {
			t.Fatal(err)
		}
		if stop == "while it is written" {
			err = s.TakeOut(t.Context(), "p", "D", 1, func(byte, []byte) ([]byte, error) { return nil, errors.New("it stops") })
			if got, _ := read(t, s, 1, 100); err == nil || !slices.Equal(got, before) {
				t.Fatalf("%v; it reads %q", err, got)
			}
		}
		err = s.TakeOut(t.Context(), "p", "D", 1, without)
		if err == nil && stop == "before the first one is deleted" {
			err = os.WriteFile(first, kept, 0o600)
			if got, _ := read(t, s, 1, 100); err != nil || !slices.Equal(got, before) {
				t.Fatalf("%v; it reads %q", err, got)
			}
			err = s.TakeOut(t.Context(), "p", "D", 1, without)
		}
		if err == nil {
			err = s.TakeOut(t.Context(), "p", "D", 1, without) // another time nothing is taken out twice
		}
		got, errRead := read(t, s, 1, 100)
		segments, errList := s.Segments(t.Context(), "p", "D")
		if err != nil || errRead != nil || len(got) != 4 || got[0] != before[0] || got[3] != "Ebare event 2" || errList != nil || !slices.Equal(segments, []int{1}) {
			t.Errorf("stopped %s: %v, %v; it reads %q; segments %v, %v", stop, err, errRead, got, segments, errList)
		}
		if _, err := s.ReadBack(t.Context(), "p", "D", 1, func(byte, []byte) error { return nil }); err != nil {
			t.Errorf("stopped %s: read back: %v", stop, err)
		}
		err = s.Delete(t.Context(), "p", "D")
		if left, _ := s.Segments(t.Context(), "p", "D"); err != nil || len(left) != 0 {
			t.Errorf("stopped %s: deleted: %v, %v", stop, left, err)
		}
	}
}
