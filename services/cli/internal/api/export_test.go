package api

import "net/http"

// SetTransport makes c call through rt.
func SetTransport(c *Client, rt http.RoundTripper) { c.http.Transport = rt }
