package link

import (
	"context"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/services/link/internal/drive"
)

// DriveConfig says whose Google Drive copies are put into.
type DriveConfig struct {
	Credentials string `name:"drive-credentials" placeholder:"FILE" help:"JSON file of the Google service account that puts copies into Drive; empty: links of mode drive are refused."`
	Subject     string `name:"drive-subject" placeholder:"ADDRESS" help:"Person of your Google Workspace for whom the service account acts, if its administrator lets it; empty: itself."`
	Parent      string `name:"drive-parent" placeholder:"ID" help:"Folder or shared drive that copies are put into; empty: the account's own Drive. Service accounts have no storage of their own, so one of this and drive-subject is mostly needed."`
	Endpoint    string `name:"drive-endpoint" placeholder:"URL" help:"Where the Drive API is; empty: Google's."`
}

func (c DriveConfig) client() drive.Config {
	return drive.Config{Credentials: c.Credentials, Subject: c.Subject, Parent: c.Parent, Endpoint: c.Endpoint}
}

// Validate returns everything that is wrong with c. That it names no account is not.
func (c DriveConfig) Validate() error {
	if c.Credentials == "" {
		return nil
	}
	return c.client().Validate()
}

// OpenDrive returns the Drive that c says, for Deps, or nil if c names no account. Nobody is called yet.
func OpenDrive(ctx context.Context, c DriveConfig, blobs *blob.Bucket) (Drive, error) {
	if c.Credentials == "" {
		return nil, nil
	}
	d, err := drive.New(ctx, c.client(), blobs)
	if err != nil {
		return nil, err
	}
	return d, nil
}
