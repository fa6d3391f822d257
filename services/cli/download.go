package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

type downloadCmd struct {
	serverFlags
	productionFlag
	ID        string   `arg:"" help:"The distribution."`
	Out       string   `short:"o" default:"." placeholder:"DIR" help:"Folder for the copies, which only you may read; made if it is not there. Default: here."`
	Recipient []string `placeholder:"WHO" sep:"none" help:"Only this recipient's copies (repeatable): number, such as r7, id, or e-mail address."`
}

func (c *downloadCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	ids, err := recipientIDs(ctx, client, c.Production, c.ID, c.Recipient)
	if err != nil {
		return err
	}
	items, _, err := client.Items(ctx, c.Production, c.ID, "")
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		items = slices.DeleteFunc(items, func(i *distributionv1.Item) bool { return !slices.Contains(ids, i.GetRecipient().GetId()) })
	}
	if len(items) == 0 {
		return refuse("RECIPIENT_UNKNOWN", "none of these recipients is in %s: see filigree recipients %s%s", c.ID, c.ID, c.hint())
	}
	err = os.MkdirAll(c.Out, 0o700)
	if err != nil {
		return refuse("OUT_BAD", "the folder for the copies cannot be made: %v", err)
	}
	missing := 0
	names := newOutNames("")
	b := t.bar(barRate, "downloading", int64(len(items)))
	defer b.finish()
	for _, i := range items {
		path := filepath.Join(c.Out, names.of(fileName(i.GetFile())).next(i.GetRecipient().GetName()))
		err = c.fetch(ctx, client, i, path)
		b.increment()
		var answer *api.Error
		switch {
		case errors.As(err, &answer) && answer.Code == "ARTIFACT_MISSING":
			missing++
		case err != nil:
			return fmt.Errorf("download %s: %w", path, err)
		default:
			t.print("%s", path)
		}
	}
	if missing > 0 {
		t.say("%s not made, or not yet; see filigree items %s%s", plural(missing, "copy is", "copies are"), c.ID, c.hint())
	}
	return nil
}

// fetch writes an item's copy to path, whole or not at all.
func (c *downloadCmd) fetch(ctx context.Context, client *api.Client, i *distributionv1.Item, path string) error {
	return writeWhole(path, 0o600, func(f *os.File) error {
		sha, err := client.Copy(ctx, c.Production, c.ID, i.GetId(), f)
		if err == nil && i.GetSha256() != "" && sha != i.GetSha256() {
			return refuse("COPY_CHANGED", "what came for item %s is not what was made for it: try again", i.GetId())
		}
		return err
	})
}
