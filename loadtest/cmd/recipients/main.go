// Command recipients prints the state of every recipient of one distribution, as the REST API tells it.
//
//	recipients -data .data DISTRIBUTION
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

func main() {
	data := flag.String("data", ".data", "folder of filigree up, with its credentials.json")
	production := flag.String("production", "default", "production the distribution belongs to")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := run(ctx, os.Stdout, *data, *production, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "recipients:", err)
		os.Exit(1)
	}
}

// credentials is the part of credentials.json that is needed.
type credentials struct {
	URL    string            `json:"url"`
	Tokens map[string]string `json:"tokens"`
}

// page is one page of the answer.
type page struct {
	Recipients []struct {
		Name, Email string
		Delivery    struct {
			State, Reply string
			Error        struct{ Code, Message string }
		}
	}
	NextPageToken string `json:"nextPageToken"`
	NextPage      string `json:"next_page_token"` // the same, as the proto spells it
}

func run(ctx context.Context, out io.Writer, data, production, id string) error {
	if id == "" {
		return errors.New("name a distribution")
	}
	text, err := os.ReadFile(filepath.Join(data, "credentials.json"))
	if err != nil {
		return err
	}
	var c credentials
	err = json.Unmarshal(text, &c)
	if err != nil {
		return fmt.Errorf("read credentials.json: %w", err)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tE-MAIL\tSTATE\tTHE MAIL SERVER'S WORD")
	for next, more := "", true; more; more = next != "" {
		p, err := get(ctx, c, production, id, next)
		if err != nil {
			return err
		}
		for _, r := range p.Recipients {
			word := r.Delivery.Reply
			if r.Delivery.Error.Message != "" {
				word = r.Delivery.Error.Message
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Name, r.Email, r.Delivery.State, word)
		}
		next = p.NextPageToken + p.NextPage
	}
	return w.Flush()
}

// get fetches one page.
func get(ctx context.Context, c credentials, production, id, next string) (p page, err error) {
	address := fmt.Sprintf("%s/v1/productions/%s/distributions/%s/recipients?%s", c.URL, url.PathEscape(production), url.PathEscape(id),
		url.Values{"page_token": {next}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return p, err
	}
	req.Header.Set("Authorization", "Bearer "+c.Tokens["coordinator"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return p, err
	}
	if resp.StatusCode != http.StatusOK {
		return p, fmt.Errorf("the server answered %s: %.300s", resp.Status, text)
	}
	err = json.Unmarshal(text, &p)
	return p, err
}
