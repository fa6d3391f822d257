package rig

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
)

// Allocations is how many objects this process itself has put on its heap since it started.
func Allocations() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Mallocs)
}

// Allocations asks a service of ours for the same, on its admin port.
func (p *Process) Allocations(ctx context.Context) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Word("admin")+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask %s what it allocated: %w", p.Name, err)
	}
	defer resp.Body.Close() // only read
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		value, ok := strings.CutPrefix(lines.Text(), "go_memstats_mallocs_total ")
		if ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s does not say what it allocated: no go_memstats_mallocs_total in its metrics", p.Name)
}
