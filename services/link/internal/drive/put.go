package drive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"

	"google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"

	"github.com/filigreehq/filigree/pkg/blob"
	"github.com/filigreehq/filigree/pkg/fault"
)

const (
	folderType   = "application/vnd.google-apps.folder"
	folderPrefix = "https://drive.google.com/drive/folders/"

	// chunk is how much of a large copy goes in one request; a copy up to single goes in one.
	chunk  = 8 << 20
	single = 5 << 20

	fields = "id,mimeType,trashed,size,sha256Checksum,copyRequiresWriterPermission,parents,webViewLink"
)

// Put makes the folder and its files under their ids, then lets the one person read them, and returns the address of
// the folder when all of that is so. What is there under an id is done. Nobody is let in before everything is there.
func (c *Client) Put(ctx context.Context, f Folder) (string, error) {
	folder, there, err := c.putFolder(ctx, f)
	if err != nil {
		return "", err
	}
	perms, err := c.permissions(ctx, f.ID)
	if err != nil {
		return "", err
	}
	if anybody(perms) {
		return "", c.takeBack(ctx, f, tooWide())
	}
	for _, file := range f.Files {
		err = c.putFile(ctx, f.ID, file, there)
		if err != nil {
			return "", err
		}
	}
	err = c.share(ctx, f)
	if err != nil {
		return "", err
	}
	if folder.WebViewLink == "" {
		return folderPrefix + f.ID, nil
	}
	return folder.WebViewLink, nil
}

func (c *Client) putFolder(ctx context.Context, f Folder) (folder *drive.File, there bool, err error) {
	want := &drive.File{Id: f.ID, Name: f.Name, MimeType: folderType}
	if c.cfg.Parent != "" {
		want.Parents = []string{c.cfg.Parent}
	}
	err = c.call(ctx, c.cfg.Timeout, func(ctx context.Context) (err error) {
		folder, err = c.api.Files.Create(want).SupportsAllDrives(true).Fields(fields).Context(ctx).Do()
		return err
	})
	if status(err) != http.StatusConflict {
		return folder, false, err
	}
	folder, err = c.look(ctx, f.ID)
	if status(err) == http.StatusNotFound {
		return nil, true, gone().Because(err)
	}
	if err != nil {
		return nil, true, err
	}
	if folder.Trashed {
		return nil, true, trashed()
	}
	return folder, true, nil
}

func (c *Client) look(ctx context.Context, id string) (file *drive.File, err error) {
	err = c.call(ctx, c.cfg.Timeout, func(ctx context.Context) (err error) {
		file, err = c.api.Files.Get(id).SupportsAllDrives(true).Fields(fields).Context(ctx).Do()
		return err
	})
	return file, err
}

// putFile makes one file. A folder that was there may have it already; then its bytes need not go out to learn that.
func (c *Client) putFile(ctx context.Context, folder string, f File, look bool) error {
	if look {
		there, err := c.look(ctx, f.ID)
		if err == nil {
			return c.settle(ctx, folder, f, there)
		}
		if status(err) != http.StatusNotFound {
			return err
		}
	}
	bytes, err := c.fetch(ctx, f)
	if err != nil {
		return err
	}
	defer bytes.Close()
	var there *drive.File
	err = c.call(ctx, c.cfg.UploadTimeout, func(ctx context.Context) error {
		_, err := bytes.Seek(0, io.SeekStart)
		if err != nil {
			return fault.From(err)
		}
		size := googleapi.ChunkSize(0)
		if f.Size > single {
			size = googleapi.ChunkSize(chunk)
		}
		there, err = c.api.Files.Create(&drive.File{
			Id: f.ID, Name: f.Name, MimeType: f.MediaType, Parents: []string{folder}, CopyRequiresWriterPermission: true,
		}).SupportsAllDrives(true).Fields(fields).Context(ctx).
			Media(bytes, googleapi.ContentType(f.MediaType), size, googleapi.ChunkRetryDeadline(c.cfg.Timeout)).Do()
		return err
	})
	if status(err) == http.StatusConflict {
		there, err = c.look(ctx, f.ID)
		if status(err) == http.StatusNotFound {
			return gone().Because(err)
		}
	}
	if err != nil {
		return err
	}
	return c.settle(ctx, folder, f, there)
}

// settle sees to it that what is there is what was meant.
func (c *Client) settle(ctx context.Context, folder string, f File, there *drive.File) error {
	switch {
	case there.Trashed:
		return trashed()
	case len(there.Parents) > 0 && (len(there.Parents) > 1 || there.Parents[0] != folder):
		return fault.New(fault.Conflict, "DRIVE_MOVED", "a copy was moved to another folder of Drive, where others may see it; revoke the link and send again")
	case there.Sha256Checksum != "" && !strings.EqualFold(there.Sha256Checksum, f.SHA256):
		return fault.New(fault.Conflict, "DRIVE_DIFFERENT", "a copy in Drive is not the one that was put there; revoke the link and send again")
	case there.CopyRequiresWriterPermission:
		return nil
	}
	return c.call(ctx, c.cfg.Timeout, func(ctx context.Context) error {
		_, err := c.api.Files.Update(f.ID, &drive.File{CopyRequiresWriterPermission: true}).SupportsAllDrives(true).Fields("id").Context(ctx).Do()
		return err
	})
}

// fetch brings a copy's bytes here, and makes sure that they are this person's.
func (c *Client) fetch(ctx context.Context, f File) (*os.File, error) {
	file, err := c.blobs.Fetch(ctx, f.Key, "")
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fault.New(fault.Unavailable, "DRIVE_COPY_MISSING", "a copy is not in the store; it will be looked for again").Because(err)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "DRIVE_COPY_UNREADABLE", "a copy could not be read from the store; it will be tried again").Because(err)
	}
	hash := sha256.New()
	_, err = io.Copy(hash, file)
	if err != nil {
		_ = file.Close() // the first error is the one to tell
		return nil, fault.New(fault.Unavailable, "DRIVE_COPY_UNREADABLE", "a copy could not be read from the store; it will be tried again").Because(err)
	}
	if hex.EncodeToString(hash.Sum(nil)) != f.SHA256 {
		_ = file.Close() // as above
		return nil, fault.New(fault.Internal, "DRIVE_COPY_DAMAGED", "a copy in the store is not the one that was made for this person; nothing was shared")
	}
	return file, nil
}

func gone() *fault.Error {
	return fault.New(fault.Conflict, "DRIVE_GONE", "a copy was removed from Drive and cannot be put there again under this link; send again for a new one")
}

func trashed() *fault.Error {
	return fault.New(fault.Conflict, "DRIVE_TRASHED", "a copy lies in Drive's bin; take it out of there, or send again for a new link")
}
