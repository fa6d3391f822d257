package egress_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/filigreehq/filigree/pkg/egress"
	"github.com/filigreehq/filigree/pkg/fault"
)

// tricks are ways to write this machine, its neighbours and the metadata services of clouds, each with :port and a path.
var tricks = []string{
	"http://127.0.0.1", "http://127.1", "http://127.0.1", "http://2130706433", "http://0x7f000001", "http://0x7f.0.0.1", "http://0x7f.1",
	"http://0177.0.0.1", "http://017700000001", "http://127.0.0.1.", "http://127.255.255.254", "http://0", "http://0.0.0.0", "http://0.0.0.1",
	"http://localhost", "http://LOCALHOST", "http://localhost.", "http://a.localhost", "http://localhost.localdomain", "http://printer.local",
	"http://metadata.google.internal", "http://x.home.arpa", "http://[::1]", "http://[::]", "http://[0:0:0:0:0:0:0:1]", "http://[::ffff:127.0.0.1]",
	"http://[::ffff:7f00:1]", "http://[::127.0.0.1]", "http://[64:ff9b::7f00:1]", "http://[64:ff9b::169.254.169.254]", "http://[64:ff9b:1::1]",
	"http://[2002:7f00:1::]", "http://[2002:a9fe:a9fe::]", "http://[2001::1]", "http://[fe80::1]", "http://[fe80::1%25lo]", "http://[fc00::1]", "http://[fd12:3456::1]",
	"http://[fec0::1]", "http://[ff02::1]", "http://[fd00:ec2::254]", "http://[100::1]", "http://[2001:db8::1]", "http://169.254.169.254", "http://0xa9fea9fe",
	"http://2852039166", "http://0251.0376.0251.0376", "http://169.254.170.2", "http://100.100.100.200", "http://100.64.0.1", "http://10.0.0.1",
	"http://172.16.0.1", "http://172.31.255.255", "http://192.168.0.1", "http://192.0.0.192", "http://198.18.0.1", "http://224.0.0.1", "http://255.255.255.255",
	"http://192.0.2.1", "http://240.0.0.1", "http://user@127.0.0.1", "http://example.com@127.0.0.1", "http://user:pw@example.com",
	"gopher://127.0.0.1", "file:///etc/passwd", "unix:///var/run/docker.sock", "ftp://127.0.0.1", "dict://127.0.0.1", "ldap://127.0.0.1", "data:text/plain,x",
	"javascript:alert(1)", "//127.0.0.1", "http:127.0.0.1", "http:///127.0.0.1", "http://", "https://", "", "127.0.0.1", "http://①②⑦.⓪.⓪.①", "http://127。0。0。1",
	"http://127.0.0.1\\@example.com", "http://127.0.0.1#@example.com", "http://127.0.0.1?@example.com", "http://%31%32%37.0.0.1", "http://1.1.1.1 &@127.0.0.1",
	"http://[::1%25]", "jar:http://127.0.0.1!/", "http://127.0.0.1%00.example.com", "http://127.0.0.1%0d%0aHost:x",
}

// Whoever listens on this machine hears of none of them.
func TestNoTrickReachesThisMachine(t *testing.T) {
	t.Parallel()
	var heard atomic.Int64
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		lis, err := net.Listen("tcp", at)
		if err != nil {
			t.Logf("%s: %v", at, err) // a machine without IPv6
			continue
		}
		t.Cleanup(func() { _ = lis.Close() })
		go func() {
			for {
				conn, err := lis.Accept()
				if err != nil {
					return
				}
				heard.Add(1)
				_ = conn.Close()
			}
		}()
		_, port, _ := net.SplitHostPort(lis.Addr().String())
		c := egress.New(nil)
		for _, trick := range tricks {
			for _, address := range []string{trick, trick + ":" + port + "/x"} {
				_, err := c.Post(t.Context(), address, nil, []byte("{}"))
				reason := fault.From(err).Reason
				if err == nil || reason != "URL_FORBIDDEN" && reason != "URL_INVALID" && reason != "URL_UNREACHABLE" {
					t.Errorf("%s: %v", address, err)
				}
			}
		}
	}
	if heard.Load() != 0 {
		t.Errorf("%d connections came to this machine", heard.Load())
	}
	if len(tricks) < 60 {
		t.Errorf("only %d tricks", len(tricks))
	}
}

// A name that stands for this machine when it is connected to is refused then, whatever it stood for before.
func TestANameIsJudgedByWhatIsConnectedTo(t *testing.T) {
	var heard atomic.Int64
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Add(1) })}
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(func() { _ = srv.Close() })
	// A DNS server that answers first with a public address and then with this machine's.
	flips := names(t)
	was := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", flips.addr)
	}}
	t.Cleanup(func() { net.DefaultResolver = was })
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	c := egress.New(nil)
	for range 4 {
		_, err = c.Post(t.Context(), "http://rebind.example.com:"+port+"/", nil, []byte("{}"))
		if err == nil {
			t.Error("it was answered")
		}
	}
	if heard.Load() != 0 || flips.asked.Load() == 0 {
		t.Errorf("%d calls came to this machine, and %d names were looked up", heard.Load(), flips.asked.Load())
	}
	// And one that is allowed is reached.
	_, err = egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Post(t.Context(), "http://"+lis.Addr().String(), nil, []byte("{}"))
	if err != nil || heard.Load() != 1 {
		t.Errorf("a network that is open: %v", err)
	}
}

func TestARedirectIsTheAnswer(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/secret" {
			followed.Store(true)
			return
		}
		w.Header().Set("Location", "/secret")
		w.WriteHeader(http.StatusTemporaryRedirect)
		_, _ = w.Write([]byte(strings.Repeat("x", 100000)))
	}))
	t.Cleanup(srv.Close)
	c := egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	a, err := c.Post(t.Context(), srv.URL, http.Header{"X-One": {"1"}}, []byte("{}"))
	if err != nil || a.Status != http.StatusTemporaryRedirect || len(a.Body) != 4096 || followed.Load() {
		t.Errorf("%d, %d bytes, %v; followed: %v", a.Status, len(a.Body), err, followed.Load())
	}
	_, err = c.Post(t.Context(), srv.URL, nil, make([]byte, egress.MaxBody+1))
	if fault.From(err).Reason != "BODY_TOO_LARGE" {
		t.Errorf("a body too large: %v", err)
	}
}

func TestPublicAddressesAreFine(t *testing.T) {
	t.Parallel()
	c := egress.New(nil)
	for _, address := range []string{"https://hooks.slack.com/services/T0/B0/x", "http://example.com:8080/a?b=c", "https://8.8.8.8/", "https://[2606:4700::1111]/", "https://xn--bcher-kva.example/", "https://0x.example.com/", "https://dead.beef.cafe/"} {
		err := c.Check(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestOpenNetworksAreReadAllAtOnce(t *testing.T) {
	t.Parallel()
	open, err := egress.ParseOpen([]string{"10.1.0.0/16", "nowhere", "fd00::/8", "10.1.0.0"})
	if len(open) != 2 || err == nil || !strings.Contains(err.Error(), `"nowhere"`) || !strings.Contains(err.Error(), `"10.1.0.0" is no network`) {
		t.Errorf("got %v, %v", open, err)
	}
}
