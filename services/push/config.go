package push

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"time"

	"github.com/filigreehq/filigree/services/push/internal/fcm"
)

// Config sets the service up. Durations and counts that are zero take their default. Without credentials nothing can be
// sent, and recipients that have devices fail with PUSH_NOT_CONFIGURED; the step is optional.
type Config struct {
	FCMProject     string `name:"fcm-project" placeholder:"ID" help:"Firebase project to send in; empty: the one that the credentials name."`
	FCMCredentials string `name:"fcm-credentials" placeholder:"FILE" help:"Key file of a service account that may send messages in the project. Without one no push is sent."`
	FCMEndpoint    string `name:"fcm-endpoint" placeholder:"URL" help:"Where Firebase Cloud Messaging is; empty: at Google's. https, except on this machine."`

	Timeout    time.Duration `name:"timeout" default:"15s" help:"Longest wait for one answer."`
	RetryAfter time.Duration `name:"retry-after" default:"60s" help:"After an answer that says to try later and not when, wait so long."`
	Parallel   int           `name:"parallel" default:"8" help:"Devices of one recipient that are told at once."`
}

// DefaultConfig is what the flags' defaults are.
func DefaultConfig() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, 15*time.Second)
	c.RetryAfter = cmp.Or(c.RetryAfter, time.Minute)
	c.Parallel = cmp.Or(c.Parallel, 8)
	return c
}

// projectID is what Google gives out.
var projectID = regexp.MustCompile(`^[a-z][a-z0-9.:-]{2,61}[a-z0-9]$`)

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("push: "+format, args...)) }
	if c.FCMCredentials == "" && c.FCMProject != "" {
		wrong("fcm-project is %q and there are no credentials to send with: name a key file by fcm-credentials", c.FCMProject)
	}
	if c.FCMCredentials != "" {
		_, err := c.sender()
		if err != nil {
			wrong("%w", err)
		}
	}
	if c.FCMEndpoint != "" && !safe(c.FCMEndpoint) {
		wrong("fcm-endpoint is %q: want https://host/, or http:// on a loopback address, since a token goes there", c.FCMEndpoint)
	}
	if c.Timeout < time.Second {
		wrong("timeout is %s: want at least 1s", c.Timeout)
	}
	if c.RetryAfter < 0 {
		wrong("retry-after is %s: want it positive", c.RetryAfter)
	}
	if c.Parallel < 1 || c.Parallel > 100 {
		wrong("parallel is %d: want between 1 and 100", c.Parallel)
	}
	return errors.Join(errs...)
}

// sender is the settings of FCM, for a c with credentials.
func (c Config) sender() (fcm.Config, error) {
	data, err := os.ReadFile(c.FCMCredentials)
	if err != nil {
		return fcm.Config{}, fmt.Errorf("fcm-credentials: %w", err)
	}
	_, err = fcm.ParseCredentials(data)
	if err != nil {
		return fcm.Config{}, fmt.Errorf("fcm-credentials: %s: %w", c.FCMCredentials, err)
	}
	var names struct {
		Project string `json:"project_id"`
	}
	err = json.Unmarshal(data, &names)
	if err != nil {
		return fcm.Config{}, fmt.Errorf("fcm-credentials: %s: its project_id is no text", c.FCMCredentials)
	}
	project := cmp.Or(c.FCMProject, names.Project)
	if !projectID.MatchString(project) {
		return fcm.Config{}, fmt.Errorf("fcm-project: %q is no id of a Firebase project", project)
	}
	return fcm.Config{
		Project: project, Credentials: data, Endpoint: c.FCMEndpoint, Timeout: c.Timeout, RetryAfter: c.RetryAfter,
	}, nil
}

// safe reports whether an access token may be sent to endpoint.
func safe(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}
