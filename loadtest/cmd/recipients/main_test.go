package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryRecipientOfEveryPageIsPrinted(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"":  `{"recipients":[{"name":"Zoë","email":"z@example.com","delivery":{"state":"sent","reply":"250 ok"}}],"nextPageToken":"2"}`,
		"2": `{"recipients":[{"name":"Max","email":"m@example.com","delivery":{"state":"bounced","error":{"code":"X","message":"no such person"}}}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" || r.URL.Path != "/v1/productions/default/distributions/d1/recipients" {
			http.Error(w, r.URL.Path, http.StatusNotFound)
			return
		}
		fmt.Fprint(w, pages[r.URL.Query().Get("page_token")])
	}))
	defer server.Close()
	data := t.TempDir()
	err := os.WriteFile(filepath.Join(data, "credentials.json"), fmt.Appendf(nil, `{"url":%q,"tokens":{"coordinator":"t"}}`, server.URL), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = run(t.Context(), &out, data, "default", "d1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Zoë", "z@example.com", "sent", "250 ok", "Max", "bounced", "no such person"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got\n%s\nwant %q in it", out.String(), want)
		}
	}
	err = run(t.Context(), &out, data, "default", "unknown")
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an unknown distribution: got %v, want the server's 404", err)
	}
}
