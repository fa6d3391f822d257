package email_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/filigreehq/filigree/services/email"
)

// parse makes a Config as a main does: flags and defaults.
func parse(t *testing.T, args ...string) email.Config {
	t.Helper()
	var flags struct {
		Email email.Config `embed:"" prefix:"email-"`
	}
	p, err := kong.New(&flags, kong.DefaultEnvars("FILIGREE_TEST"), kong.Exit(func(int) { t.Error("kong exits") }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	return flags.Email
}

func TestDefaultsOfFlagsAreThoseOfTheZeroConfig(t *testing.T) {
	t.Parallel()
	diff := cmp.Diff(email.Config{}.WithDefaults(), parse(t))
	if diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsPlusTheMinimumStart(t *testing.T) {
	t.Parallel()
	s, err := email.New(parse(t, "--email-smtp=smtp://127.0.0.1:2525"), email.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Close()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	err := email.Config{
		SMTP: "http://mail.example", From: "nobody", Hello: "a b", Connections: -1, PerConnection: -1, MaxSize: 1, DotTimeout: -1,
		SMTPCA: "/nonexistent.pem",
	}.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	for _, word := range []string{"smtp:", "from:", "hello:", "connections:", "per-connection:", "max-size:", "dot-timeout:", "smtp-ca:"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not told: %v", word, err)
		}
	}
}

func TestTheLocalSenderIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	err := email.Config{SMTP: "smtp://mail.example"}.Validate()
	if err == nil || !strings.Contains(err.Error(), "from:") {
		t.Errorf("got %v", err)
	}
}

func TestServerURLs(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"smtp://127.0.0.1:2525":                       "",
		"smtp://office:pa%2Fss@mail.example":          "",
		"smtps://office:secret@mail.example:465":      "",
		"smtp://mail.example?starttls=never":          "",
		"smtp://u:p@localhost?starttls=never":         "",
		"":                                            "no mail server is named",
		"mail.example:25":                             "neither smtp:// nor smtps://",
		"smtp://":                                     "names no host",
		"smtp://u:s3cret%@mail.example":               "no URL",
		"smtp://u:s3/cret@mail.example":               "no URL",
		"smtp://u:s3cret@mail.example/x":              "has a path",
		"smtp://u:s3cret@mail.example?starttls=never": "in plain text",
		"smtp://mail.example?starttls=perhaps":        "is not known",
		"smtp://mail.example?tls=1":                   "is not known",
		"smtps://mail.example?starttls=never":         "has no starttls",
	} {
		s, err := email.New(email.Config{SMTP: email.URL(url), From: "a@example.com"}, email.Deps{})
		if err == nil {
			_ = s.Close() // never connected
		}
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3")):
			t.Errorf("%s: got %v, want %q and no password", url, err, want)
		}
	}
}

func TestAURLHidesItsPassword(t *testing.T) {
	t.Parallel()
	for _, u := range []email.URL{"smtp://office:s3cret@mail.example:587?starttls=required", "smtp://office:s3%cret@mail.example"} {
		asJSON, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("config", "url", u, "cfg", email.Config{SMTP: u})
		for _, shown := range []string{u.String(), fmt.Sprintf("%v %+v %#v %s %q", u, u, u, u, u), string(asJSON), log.String(), fmt.Sprintf("%+v", email.Config{SMTP: u})} {
			if strings.Contains(shown, "s3") || !strings.Contains(shown, "***") {
				t.Errorf("shown: %s", shown)
			}
		}
	}
	if got := email.URL("smtp://office:s3cret@mail.example:587").String(); got != "smtp://office:***@mail.example:587" {
		t.Errorf("got %s", got)
	}
}
