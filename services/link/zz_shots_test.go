package link_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
)

func TestZZServe(t *testing.T) {
	dir := os.Getenv("LINKSHOTS")
	if dir == "" {
		t.Skip()
	}
	w := newWorld(t, nil)
	pngs, _ := filepath.Glob(dir + "/t*.png")
	if len(pngs) > 5 {
		pngs = pngs[:5]
	}
	for i, p := range pngs {
		data, _ := os.ReadFile(p)
		w.store(fmt.Sprintf("th/%d", i), data)
	}
	pdf, _ := os.ReadFile(dir + "/doc.pdf")
	names := []string{"The Long Road – Shooting Script, White Revision 4 (2026-11-20).pdf", "Call sheet day 12.pdf", "Schedule.pdf", "Lookbook_final_FINAL_v7_with_a_very_long_name_without_any_spaces_at_all.pdf"}
	var docs []*linkv1.Document
	for i, n := range names {
		d := w.document(n, fmt.Sprintf("art/%d", i), pdf)
		if i < len(pngs) && i != 2 {
			d.Thumbnail = fmt.Sprintf("th/%d", i)
		}
		docs = append(docs, d)
	}
	mk := func(id, dist string, n int, f func(*linkv1.CreateRequest)) {
		r := &linkv1.CreateRequest{Production: "default", Link: id, Distribution: dist, Mode: "link", Name: "Anna-Sophie Lindqvist", Email: "a@example.com",
			Title: "Call sheet and script for day 12", ProductionName: "The Long Road", Text: "Dear all,\n\nplease find the new pages for tomorrow. Call time has moved to 06:30.\nPick-up is at the hotel.\n\nThank you,\nMaria", Documents: docs[:n]}
		if f != nil {
			f(r)
		}
		w.create(r)
	}
	mk("many", "d1", 4, func(r *linkv1.CreateRequest) { r.Locked = true; r.Missing = []string{"Stunt plan.pdf"} })
	mk("one", "d1", 1, nil)
	mk("bare", "d1", 1, func(r *linkv1.CreateRequest) { r.Title, r.ProductionName, r.Name, r.Text = "", "", "", "" })
	mk("revoked", "d1", 1, nil)
	mk("expired", "d1", 1, func(r *linkv1.CreateRequest) { r.Lifetime = 1 })
	out := ""
	for _, id := range []string{"many", "one", "bare", "revoked", "expired"} {
		out += id + " " + w.a.http.URL + w.path(id) + "\n"
	}
	w.revoke("revoked")
	_ = os.WriteFile(dir+"/urls", []byte(out), 0o600)
	waitFor(t, 20*time.Minute, func() bool { _, err := os.Stat(dir + "/stop"); return err == nil })
}
