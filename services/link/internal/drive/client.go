package drive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/drive/v3"
	"google.golang.org/api/option"
)

// scope lets an account see and change the files that were made by way of it, and no others.
const scope = drive.DriveFileScope

// Config says whose Drive it is. Durations and counts that are zero take their default.
type Config struct {
	// Credentials is the JSON file of a service account.
	Credentials string
	// Subject is the person for whom the service account acts, where a Workspace's administrator lets it; empty: itself.
	Subject string
	// Parent is the id of the folder, or of the shared drive, that links' folders are made in; empty: the account's own
	// Drive. Google gives service accounts no storage of their own, so one of Subject and Parent is mostly needed.
	Parent string
	// Endpoint is where Drive's API is; empty: Google's.
	Endpoint string

	// Attempts is how often one request is made before it is left to the task to be tried again; 6.
	Attempts int
	// Timeout is the longest wait for one request, but for copies under way; 30 s.
	Timeout time.Duration
	// UploadTimeout is the longest wait for a copy to be taken; 5 min.
	UploadTimeout time.Duration
	// Patience is the longest that a request waits for its turn; when Google asks for more it is left to the task; 20 s.
	Patience time.Duration
	// Backoff is the longest pause after the first failed attempt, and half of the longest between requests however often
	// Google asks for fewer; after more failures it doubles up to Patience; 500 ms.
	Backoff time.Duration
}

func (c Config) withDefaults() Config {
	set(&c.Attempts, 6)
	set(&c.Timeout, 30*time.Second)
	set(&c.UploadTimeout, 5*time.Minute)
	set(&c.Patience, 20*time.Second)
	set(&c.Backoff, 500*time.Millisecond)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns everything that is wrong with c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Credentials == "" {
		bad("credentials: no file of a service account is named")
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			bad("endpoint: %q does not look like https://www.googleapis.com/drive/v3/", c.Endpoint)
		}
	}
	if c.Attempts < 1 {
		bad("attempts: %d is less than 1", c.Attempts)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"timeout", c.Timeout}, {"upload-timeout", c.UploadTimeout}, {"patience", c.Patience}, {"backoff", c.Backoff}} {
		if d.value < 0 {
			bad("%s: %s is negative", d.name, d.value)
		}
	}
	return errors.Join(errs...)
}

// Blobs is where copies are.
type Blobs interface {
	// Fetch copies the blob under key into an unlinked temporary file.
	Fetch(ctx context.Context, key, dir string) (*os.File, error)
}

// Client is one account's Drive. It is safe for concurrent use. Google counts requests by account and by project, and a
// client has one of each, so its calls share one pace: they slow down together when Google asks for it.
type Client struct {
	cfg   Config
	api   *drive.Service
	blobs Blobs
	pace  *pace
}

// New makes a client; nobody is called before there is something to do.
func New(ctx context.Context, cfg Config, blobs Blobs) (*Client, error) {
	err := cfg.Validate()
	if err != nil {
		return nil, fmt.Errorf("drive: %w", err)
	}
	cfg = cfg.withDefaults()
	data, err := os.ReadFile(cfg.Credentials)
	if err != nil {
		return nil, fmt.Errorf("drive: credentials: %w", err)
	}
	account, err := google.JWTConfigFromJSON(data, scope)
	if err != nil {
		return nil, fmt.Errorf("drive: credentials: %s is not the JSON file of a service account: %w", cfg.Credentials, err)
	}
	account.Subject = cfg.Subject
	// A token is asked for when the last one has ended, long after ctx has.
	tokens := account.TokenSource(context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &http.Client{Timeout: cfg.Timeout}))
	options := []option.ClientOption{option.WithHTTPClient(&http.Client{Transport: &oauth2.Transport{Source: tokens}})}
	if cfg.Endpoint != "" {
		options = append(options, option.WithEndpoint(cfg.Endpoint))
	}
	api, err := drive.NewService(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("drive: %w", err)
	}
	return &Client{cfg: cfg, api: api, blobs: blobs, pace: newPace(cfg.Patience, slowest*cfg.Backoff)}, nil
}

// maxIDs is what Drive hands out at once.
const maxIDs = 1000

// IDs returns n fresh ids. It makes nothing.
func (c *Client) IDs(ctx context.Context, _ string, n int) ([]string, error) {
	var ids []string
	for len(ids) < n {
		err := c.call(ctx, c.cfg.Timeout, func(ctx context.Context) error {
			made, err := c.api.Files.GenerateIds().Count(int64(min(n-len(ids), maxIDs))).Space("drive").Context(ctx).Do()
			if err != nil {
				return err
			}
			if len(made.Ids) == 0 {
				return errors.New("no ids were handed out")
			}
			ids = append(ids, made.Ids...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return ids[:n], nil
}
