package cli

import (
	"context"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

// dryRun says what would become of req.
func (c *sendCmd) dryRun(ctx context.Context, t *term, client *api.Client, req *distributionv1.CreateDistributionRequest) error {
	found, raw, err := client.Check(ctx, req)
	if err != nil {
		return err
	}
	if c.JSON {
		err = t.document(raw)
		if err != nil {
			return err
		}
	} else {
		t.print("%s to %s: %s, %d bytes each, %d in all", plural(int(found.GetFiles()), "file", "files"), plural(int(found.GetRecipients()), "person", "people"),
			plural(int(found.GetItems()), "item", "items"), found.GetBytesEach(), found.GetBytesTotal())
		c.findings(t, req, found)
	}
	if found.GetRefused() {
		return refuse("CHECK_REFUSED", "it would be refused; nothing was sent")
	}
	t.say("it would be accepted; nothing was sent")
	return nil
}

func (c *sendCmd) findings(t *term, req *distributionv1.CreateDistributionRequest, found *distributionv1.CheckDistributionResponse) {
	if len(found.GetFindings()) == 0 {
		return
	}
	names := map[string]string{}
	for _, f := range req.GetFiles() {
		names[f.GetSha256()] = f.GetName()
	}
	b := newTable("", "CODE", "WHOM", "WHAT")
	for _, f := range found.GetFindings() {
		whom := f.GetName()
		if f.GetFile() != "" {
			whom = names[f.GetFile()]
		}
		b.add(f.GetSeverity(), f.GetCode(), whom, f.GetMessage())
	}
	b.write(t, "")
	if n := int(found.GetLeftOut()); n > 0 {
		t.say("and %s more", plural(n, "finding", "findings"))
	}
}
