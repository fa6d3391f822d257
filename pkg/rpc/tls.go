package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
)

// domain ends the name that a service's certificate is for: the email service's is email.filigree.
const domain = ".filigree"

// TLS makes services prove to each other who they are. All three files or none: without them calls are in plain text,
// and whoever reaches a service's port is believed.
type TLS struct {
	CA   string `name:"ca" type:"existingfile" placeholder:"FILE" help:"PEM file of the authority that signs services' certificates. With it calls between services are mutual TLS."`
	Cert string `name:"cert" type:"existingfile" placeholder:"FILE" help:"PEM file of this service's certificate, for the DNS name SERVICE.filigree."`
	Key  string `name:"key" type:"existingfile" placeholder:"FILE" help:"PEM file of its private key."`
}

// On reports whether services prove who they are.
func (t TLS) On() bool { return t != TLS{} }

// Validate reports what is wrong with t.
func (t TLS) Validate() error {
	if t.On() && (t.CA == "" || t.Cert == "" || t.Key == "") {
		return errors.New("--tls-ca, --tls-cert and --tls-key belong together: give all or none")
	}
	return nil
}

func (t TLS) config() (*tls.Config, error) {
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("--tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--tls-ca: %s holds no certificate in PEM form", t.CA)
	}
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}

// NewSecureServer is NewServer that, with t on, takes calls only from services that prove who they are.
func NewSecureServer(log *slog.Logger, t TLS) (*grpc.Server, error) {
	err := t.Validate()
	if err != nil {
		return nil, err
	}
	if !t.On() {
		return NewServer(log), nil
	}
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	return NewServer(log, grpc.Creds(credentials.NewTLS(cfg))), nil
}

// transport is how to reach the service named peer.
func (t TLS) transport(peer string) (credentials.TransportCredentials, error) {
	err := t.Validate()
	if err != nil {
		return nil, err
	}
	if !t.On() {
		return insecure.NewCredentials(), nil
	}
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	cfg.ServerName = peer + domain
	return credentials.NewTLS(cfg), nil
}

// vouched checks that the process which made a call may make it as p: a service only as itself, and only the gateway on
// behalf of people. Without TLS there is nothing to check against.
func vouched(ctx context.Context, p *accessv1.Principal) error {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := from.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return nil
	}
	for _, name := range info.State.PeerCertificates[0].DNSNames {
		service, ours := strings.CutSuffix(name, domain)
		if !ours {
			continue
		}
		if p.GetRole() == accessv1.Role_ROLE_SERVICE && p.GetSubject() == "service:"+service {
			return nil
		}
		if p.GetRole() != accessv1.Role_ROLE_SERVICE && service == "gateway" {
			return nil
		}
	}
	return fault.New(fault.Denied, "PEER_MISMATCH", "the certificate of the calling process is not that of the service it says it is")
}
