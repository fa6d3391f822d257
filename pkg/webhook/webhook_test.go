package webhook_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/webhook"
)

// The example that the libraries of Standard Webhooks are tested with.
const (
	secret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	id        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	timestamp = "1614265330"
	payload   = `{"test": 2432232314}`
	signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func parse(t *testing.T, text string) webhook.Secrets {
	t.Helper()
	s, err := webhook.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t *testing.T, secret, id, timestamp, body string) string {
	t.Helper()
	s, err := webhook.Sign(secret, id, timestamp, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	now := time.Unix(1614265330, 0)
	other := sign(t, webhook.New().Current(), id, timestamp, payload)
	for name, c := range map[string]struct {
		id, timestamp, body, signature string
		want                           bool
	}{
		"as published":                        {id, timestamp, payload, signature, true},
		"one of several":                      {id, timestamp, payload, other + " v1a,abc " + signature, true},
		"with another secret":                 {id, timestamp, payload, other, false},
		"of another body":                     {id, timestamp, payload + " ", signature, false},
		"of another id":                       {id + "x", timestamp, payload, signature, false},
		"of another timestamp":                {id, "1614265331", payload, signature, false},
		"moved between id and timestamp":      {id + "." + timestamp, "", payload, signature, false},
		"none":                                {id, timestamp, payload, "", false},
		"of another version":                  {id, timestamp, payload, strings.Replace(signature, "v1", "v2", 1), false},
		"without a version":                   {id, timestamp, payload, strings.TrimPrefix(signature, "v1,"), false},
		"cut":                                 {id, timestamp, payload, signature[:len(signature)-1], false},
		"with commas between, as no one does": {id, timestamp, payload, other + "," + signature, false},
	} {
		got := parse(t, secret).Signed(c.id, c.timestamp, []byte(c.body), c.signature, now)
		if got != c.want {
			t.Errorf("a signature %s: got %t", name, got)
		}
	}
	if got := sign(t, secret, id, timestamp, payload); got != signature {
		t.Errorf("got %s, want %s", got, signature)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	all := []webhook.Secrets{parse(t, secret)}
	for i := range 3 {
		all = append(all, parse(t, all[i].Rotate(now.Add(time.Duration(i)*time.Hour)).String()))
	}
	last := all[3]
	works := func(s webhook.Secrets, at time.Time) bool {
		return last.Signed(id, timestamp, []byte(payload), sign(t, s.Current(), id, timestamp, payload), at)
	}
	for i, s := range all {
		end := now.Add(time.Duration(i)*time.Hour + webhook.Overlap)
		if !works(s, now.Add(3*time.Hour)) || !works(s, end.Add(-time.Second)) {
			t.Errorf("secret %d does not work until its end", i)
		}
		if i < 3 && works(s, end) {
			t.Errorf("secret %d works after its end", i)
		}
	}
	if !works(last, now.Add(1000*time.Hour)) {
		t.Error("the present secret has an end")
	}
	for range 20 {
		last = last.Rotate(now)
	}
	if n := len(strings.Fields(last.String())); n > 6 {
		t.Errorf("%d secrets are kept", n)
	}
	if last = last.Rotate(now.Add(100 * webhook.Overlap)); len(strings.Fields(last.String())) != 2 {
		t.Errorf("got %d secrets, want what is over to be gone", len(strings.Fields(last.String())))
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	a, b := webhook.New().Current(), webhook.New().Current()
	if a == b || !strings.HasPrefix(a, "whsec_") || len(a) != len("whsec_")+44 {
		t.Errorf("got %d and %d letters, equal: %t", len(a), len(b), a == b)
	}
	for _, bad := range []string{"", "  ", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64", secret + " x", secret + " x:" + secret} {
		_, err := webhook.Parse(bad)
		if err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestFresh(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 999)
	for timestamp, want := range map[string]bool{
		"1800000000": true, "1799999701": true, "1800000300": true, "1799999700": false, "1800000301": false,
		"": false, "x": false, "1.8e9": false, "-1": false, "99999999999999999999": false,
		strconv.FormatInt(1<<62, 10): false, strconv.FormatInt(-1<<62, 10): false,
	} {
		if webhook.Fresh(timestamp, now) != want {
			t.Errorf("%q: got %t", timestamp, !want)
		}
	}
}
