package limit

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are networks of reverse proxies of ours; from them, and only from them, X-Forwarded-For is believed.
type Proxies []netip.Prefix

// ParseProxies reads networks such as 10.0.0.0/8.
func ParseProxies(texts []string) (Proxies, error) {
	var p Proxies
	for _, text := range texts {
		net, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("proxies: %q is not a network like 10.0.0.0/8", text)
		}
		p = append(p, net)
	}
	return p, nil
}

// Client is the address that r comes from, seen through proxies of ours; the zero one of a listener without addresses.
func (p Proxies) Client(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := from.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trust(addr); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next.Unmap()
	}
	return addr
}

func (p Proxies) trust(addr netip.Addr) bool {
	for _, net := range p {
		if net.Contains(addr) {
			return true
		}
	}
	return false
}
