package smtp_test

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/filigreehq/filigree/services/email/internal/smtp"
)

// authority makes a certificate for 127.0.0.1 by an authority of its own.
func authority(t *testing.T) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	ca, err = x509.ParseCertificate(caDER)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mail"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return roots, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// relay is a real mail server that wants user "office" with password "secret" when it offers AUTH.
type relay struct {
	mu     sync.Mutex
	mails  [][]byte
	secure []bool
	users  []string
	auth   bool
}

type relaySession struct {
	relay *relay
	conn  *gosmtp.Conn
	user  string
}

func (r *relay) NewSession(c *gosmtp.Conn) (gosmtp.Session, error) {
	s := &relaySession{relay: r, conn: c}
	if r.auth {
		return &authSession{s}, nil
	}
	return s, nil
}

func (s *relaySession) Reset()        {}
func (s *relaySession) Logout() error { return nil }
func (s *relaySession) Mail(string, *gosmtp.MailOptions) error {
	if s.relay.auth && s.user == "" {
		return &gosmtp.SMTPError{Code: 530, EnhancedCode: gosmtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	return nil
}
func (s *relaySession) Rcpt(string, *gosmtp.RcptOptions) error { return nil }
func (s *relaySession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, secure := s.conn.TLSConnectionState()
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.mails, s.relay.secure, s.relay.users = append(s.relay.mails, b), append(s.relay.secure, secure), append(s.relay.users, s.user)
	return nil
}

type authSession struct{ *relaySession }

func (s *authSession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *authSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "office" || password != "secret" {
			return gosmtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func startRelay(t *testing.T, r *relay, host string, cert *tls.Certificate, implicit bool) string {
	t.Helper()
	lis, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	s := gosmtp.NewServer(r)
	s.Domain = "relay.example"
	s.AllowInsecureAuth = true
	s.ErrorLog = log.New(io.Discard, "", 0) // it reports each broken connection, which is what we test
	if cert != nil {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12}
		if implicit {
			lis = tls.NewListener(lis, s.TLSConfig)
		}
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(lis) }()
	t.Cleanup(func() {
		_ = lis.Close()
		_ = s.Close()
		<-done
	})
	return addr
}

func TestEncryptionAndSignIn(t *testing.T) {
	t.Parallel()
	roots, cert := authority(t)
	type setup struct {
		noTLS, implicit, auth bool
		change                func(*smtp.Config)
		want                  string
		plain                 bool   // accepted, and not encrypted
		host                  string // where it listens; empty: 127.0.0.1
	}
	trust := func(c *smtp.Config) { c.StartTLS, c.TLS = smtp.Required, &tls.Config{RootCAs: roots} }
	sign := func(user, password string) func(*smtp.Config) {
		return func(c *smtp.Config) {
			trust(c)
			c.User, c.Password, c.PlainAuth = user, password, false
		}
	}
	plainSign := func(c *smtp.Config) { c.User, c.Password = "office", "secret" }
	for name, s := range map[string]setup{
		"STARTTLS, certificate proven":              {change: trust, want: "accepted"},
		"TLS from the start, certificate proven":    {implicit: true, change: func(c *smtp.Config) { trust(c); c.Implicit = true }, want: "accepted"},
		"STARTTLS required, certificate unknown":    {change: func(c *smtp.Config) { c.StartTLS = smtp.Required }, want: "unreachable"},
		"TLS from the start, certificate unknown":   {implicit: true, change: func(c *smtp.Config) { c.Implicit = true }, want: "unreachable"},
		"STARTTLS opportunistic, unknown":           {change: func(c *smtp.Config) { c.StartTLS = smtp.Opportunistic }, want: "accepted"},
		"STARTTLS opportunistic, not offered":       {noTLS: true, change: func(c *smtp.Config) { c.StartTLS = smtp.Opportunistic }, want: "accepted", plain: true},
		"STARTTLS required, not offered":            {noTLS: true, change: func(c *smtp.Config) { c.StartTLS = smtp.Required }, want: "unreachable"},
		"STARTTLS never":                            {change: func(c *smtp.Config) { c.StartTLS = smtp.Never }, want: "accepted", plain: true},
		"sign-in":                                   {auth: true, change: sign("office", "secret"), want: "accepted"},
		"wrong password":                            {auth: true, change: sign("office", "wrong"), want: "auth failed"},
		"sign-in wanted, none configured":           {auth: true, change: trust, want: "auth failed"},
		"sign-in configured, none offered":          {change: sign("office", "secret"), want: "auth failed"},
		"sign-in in plain text on loopback":         {noTLS: true, auth: true, change: plainSign, want: "accepted", plain: true},
		"no password in plain text to other hosts":  {noTLS: true, auth: true, host: "127.0.0.2", change: func(c *smtp.Config) { plainSign(c); c.PlainAuth = false }, want: "auth failed"},
		"host name of another than the certificate": {change: func(c *smtp.Config) { trust(c); c.Host = "localhost" }, want: "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &relay{auth: s.auth}
			server := &cert
			if s.noTLS {
				server = nil
			}
			cfg := config(t, startRelay(t, r, cmp.Or(s.host, "127.0.0.1"), server, s.implicit))
			cfg.Command, cfg.Dot = 10*time.Second, 10*time.Second
			s.change(&cfg)
			p := newPool(t, cfg)
			for range 2 { // fresh, and reused
				_, err := p.Send(t.Context(), envelope(), content, ok)
				if outcomeOf(err) != s.want {
					t.Fatalf("got %v, want %s", err, s.want)
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			for i, m := range r.mails {
				if !bytes.Equal(m, []byte(mail)) || r.secure[i] == s.plain {
					t.Errorf("got %q, encrypted: %v", m, r.secure[i])
				}
			}
			if (len(r.mails) == 2) != (s.want == "accepted") {
				t.Errorf("the server got %d mails", len(r.mails))
			}
		})
	}
}
