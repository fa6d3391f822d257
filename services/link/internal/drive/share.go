package drive

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/api/drive/v3"

	"github.com/filigreehq/filigree/pkg/fault"
)

// shares is how often sharing is repeated that another change, made at the same time, has undone: of several only the
// last counts.
const shares = 4

const permissionFields = "nextPageToken,permissions(id,type,role,emailAddress,deleted,permissionDetails)"

// permissions lists who may do what with the file, or folder, id.
func (c *Client) permissions(ctx context.Context, id string) ([]*drive.Permission, error) {
	var all []*drive.Permission
	for page := ""; ; {
		var got *drive.PermissionList
		err := c.call(ctx, c.cfg.Timeout, func(ctx context.Context) (err error) {
			got, err = c.api.Permissions.List(id).SupportsAllDrives(true).PageToken(page).Fields(permissionFields).Context(ctx).Do()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, p := range got.Permissions {
			if !p.Deleted {
				all = append(all, p)
			}
		}
		page = got.NextPageToken
		if page == "" {
			return all, nil
		}
	}
}

// share lets the person read the folder, and so what is in it, and makes sure that nobody else may.
func (c *Client) share(ctx context.Context, f Folder) error {
	person := reader{email: f.Email}
	for range shares {
		perms, err := c.permissions(ctx, f.ID)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(perms, person.is) {
			var made *drive.Permission
			err = c.call(ctx, c.cfg.Timeout, func(ctx context.Context) (err error) {
				made, err = c.shareOnce(ctx, f, &person)
				return err
			})
			if err != nil {
				return err
			}
			if made != nil {
				person.id = made.Id // Google may know the person by another address
			}
			perms, err = c.permissions(ctx, f.ID)
			if err != nil {
				return err
			}
		}
		for _, p := range perms {
			if !administers(p) && !(person.is(p) && p.Role == roleReader) {
				return c.takeBack(ctx, f, tooWide())
			}
		}
		if slices.ContainsFunc(perms, person.is) {
			return nil
		}
	}
	return fault.New(fault.Unavailable, "DRIVE_SHARING_LOST", "Google Drive did not keep whom a folder is shared with; it will be tried again")
}

// shareOnce makes the permission. It is tried again after an answer that may be wrong, so it looks every time: a
// permission that was made all the same must not be made twice. It returns nil if it was there.
func (c *Client) shareOnce(ctx context.Context, f Folder, person *reader) (*drive.Permission, error) {
	if person.asked {
		got, err := c.api.Permissions.List(f.ID).SupportsAllDrives(true).Fields(permissionFields).Context(ctx).Do()
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(got.Permissions, person.is) {
			return nil, nil
		}
	}
	person.asked = true
	return c.api.Permissions.Create(f.ID, &drive.Permission{Type: typeUser, Role: roleReader, EmailAddress: f.Email}).
		SendNotificationEmail(false).SupportsAllDrives(true).Fields("id,emailAddress,role").Context(ctx).Do()
}

const (
	typeUser   = "user"
	typeGroup  = "group"
	roleReader = "reader"
)

// reader is the one person.
type reader struct {
	email string
	id    string // of their permission, once it is known
	asked bool   // for a permission
}

func (r reader) is(p *drive.Permission) bool {
	return p.Type == typeUser && !p.Deleted && (strings.EqualFold(p.EmailAddress, r.email) || r.id != "" && p.Id == r.id)
}

// anybody reports whether people may read it whom nobody named.
func anybody(perms []*drive.Permission) bool {
	return slices.ContainsFunc(perms, func(p *drive.Permission) bool { return p.Type != typeUser && p.Type != typeGroup })
}

// administers reports whether p belongs to our account, or to people who may change whatever is in the folder above.
func administers(p *drive.Permission) bool {
	if p.Type != typeUser && p.Type != typeGroup {
		return false
	}
	switch p.Role {
	case "owner":
		return true
	case "organizer", "fileOrganizer", "writer":
		return inherited(p)
	}
	return false
}

// inherited reports whether p comes from above, alone.
func inherited(p *drive.Permission) bool {
	return len(p.PermissionDetails) > 0 && !slices.ContainsFunc(p.PermissionDetails, func(d *drive.PermissionPermissionDetails) bool { return !d.Inherited })
}

func tooWide() *fault.Error {
	return fault.New(fault.Conflict, "DRIVE_SHARED_WIDER", "the folder in Drive would be open to others than this person, so nothing was left there; look at who may read the folder that copies are put into")
}

// takeBack removes what is there and returns why, or what kept it from being removed.
func (c *Client) takeBack(ctx context.Context, f Folder, why *fault.Error) error {
	ids := []string{f.ID}
	for _, file := range f.Files {
		ids = append(ids, file.ID)
	}
	err := c.Revoke(ctx, f.Production, ids)
	if err != nil {
		return err
	}
	return why
}

// Revoke ends everybody's access to the files and folders with these ids, then removes them, the last first. What is not
// there is done.
func (c *Client) Revoke(ctx context.Context, _ string, ids []string) error {
	var there []string
	for _, id := range ids {
		found, err := c.unshare(ctx, id)
		if err != nil {
			return err
		}
		if found {
			there = append(there, id)
		}
	}
	for _, id := range slices.Backward(there) {
		err := c.remove(ctx, id)
		if err != nil {
			return err
		}
	}
	return nil
}

// unshare takes every permission away that was given to id itself; false if there is no such thing.
func (c *Client) unshare(ctx context.Context, id string) (found bool, err error) {
	perms, err := c.permissions(ctx, id)
	if status(err) == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, p := range perms {
		if p.Role == "owner" || inherited(p) {
			continue
		}
		err = c.call(ctx, c.cfg.Timeout, func(ctx context.Context) error {
			return c.api.Permissions.Delete(id, p.Id).SupportsAllDrives(true).Context(ctx).Do()
		})
		if err != nil && status(err) != http.StatusNotFound {
			return true, err
		}
	}
	return true, nil
}

func (c *Client) remove(ctx context.Context, id string) error {
	err := c.call(ctx, c.cfg.Timeout, func(ctx context.Context) error {
		return c.api.Files.Delete(id).SupportsAllDrives(true).Context(ctx).Do()
	})
	if status(err) == http.StatusForbidden && !fault.Transient(err) {
		// In a shared drive not everybody who may make files may remove them for good.
		err = c.call(ctx, c.cfg.Timeout, func(ctx context.Context) error {
			_, err := c.api.Files.Update(id, &drive.File{Trashed: true}).SupportsAllDrives(true).Fields("id").Context(ctx).Do()
			return err
		})
	}
	if status(err) == http.StatusNotFound {
		return nil
	}
	return err
}
