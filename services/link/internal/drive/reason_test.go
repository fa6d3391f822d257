package drive_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/services/link/internal/drive"
)

func TestWhatGoogleRefuses(t *testing.T) {
	t.Parallel()
	const once, all = 1, 3
	for _, c := range []struct {
		status    int
		reason    string
		code      string
		transient bool
		requests  int
	}{
		{400, "badRequest", "DRIVE_REFUSED", false, once},
		{400, "invalid", "DRIVE_REFUSED", false, once},
		{400, "invalidSharingRequest", "DRIVE_NOT_SHARED", false, once},
		{401, "authError", "DRIVE_CREDENTIALS", true, once},
		{403, "accessNotConfigured", "DRIVE_NOT_ENABLED", false, once},
		{403, "activeItemCreationLimitExceeded", "DRIVE_FULL", false, once},
		{403, "appNotAuthorizedToFile", "DRIVE_FILE_DENIED", false, once},
		{403, "cannotModifyInheritedTeamDrivePermission", "DRIVE_INHERITED", false, once},
		{403, "cannotShareTeamDriveTopFolderWithAnyoneOrDomains", "DRIVE_SHARING_POLICY", false, once},
		{403, "dailyLimitExceeded", "DRIVE_DAILY_LIMIT", true, once},
		{403, "domainPolicy", "DRIVE_POLICY", false, once},
		{403, "fileOwnerNotMemberOfTeamDrive", "DRIVE_MEMBERSHIP", false, once},
		{403, "fileWriterTeamDriveMoveInDisabled", "DRIVE_POLICY", false, once},
		{403, "forbidden", "DRIVE_DENIED", false, once},
		{403, "insufficientFilePermissions", "DRIVE_FILE_DENIED", false, once},
		{403, "insufficientPermissions", "DRIVE_SCOPE", false, once},
		{403, "insufficientParentPermissions", "DRIVE_PARENT_DENIED", false, once},
		{403, "invalidSharingRequest", "DRIVE_NOT_SHARED", false, once},
		{403, "myDriveHierarchyDepthLimitExceeded", "DRIVE_TOO_DEEP", false, once},
		{403, "numChildrenInNonRootLimitExceeded", "DRIVE_FULL", false, once},
		{403, "publishOutNotPermitted", "DRIVE_SHARING_POLICY", false, once},
		{403, "rateLimitExceeded", "DRIVE_RATE_LIMIT", true, all},
		{403, "shareInNotPermitted", "DRIVE_SHARING_POLICY", false, once},
		{403, "shareOutNotPermitted", "DRIVE_SHARING_POLICY", false, once},
		{403, "shareOutNotPermittedToUser", "DRIVE_SHARING_POLICY", false, once},
		{403, "sharingRateLimitExceeded", "DRIVE_SHARING_LIMIT", true, all},
		{403, "storageQuotaExceeded", "DRIVE_FULL", false, once},
		{403, "teamDriveFileLimitExceeded", "DRIVE_FULL", false, once},
		{403, "teamDriveHierarchyTooDeep", "DRIVE_TOO_DEEP", false, once},
		{403, "teamDriveMembershipRequired", "DRIVE_MEMBERSHIP", false, once},
		{403, "teamDrivesFolderMoveInNotSupported", "DRIVE_REFUSED", false, once},
		{403, "teamDrivesParentLimit", "DRIVE_REFUSED", false, once},
		{403, "userRateLimitExceeded", "DRIVE_RATE_LIMIT", true, all},
		{403, "UrlLeaseLimitExceeded", "DRIVE_RATE_LIMIT", true, all},
		{403, "somethingNew", "DRIVE_DENIED", false, once},
		{404, "notFound", "DRIVE_NOT_FOUND", false, once},
		{410, "somethingNew", "DRIVE_REFUSED", false, once},
		{429, "rateLimitExceeded", "DRIVE_RATE_LIMIT", true, all},
		{429, "somethingNew", "DRIVE_RATE_LIMIT", true, all},
		{500, "backendError", "DRIVE_UNAVAILABLE", true, all},
		{500, "internalError", "DRIVE_UNAVAILABLE", true, all},
		{502, "", "DRIVE_UNAVAILABLE", true, all},
		{503, "backendError", "DRIVE_UNAVAILABLE", true, all},
		{504, "somethingNew", "DRIVE_UNAVAILABLE", true, all},
	} {
		t.Run(fmt.Sprintf("%d %s", c.status, c.reason), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(cfg *drive.Config) { cfg.Attempts = all })
			f := w.folder("ada@example.com", 10)
			for _, op := range []string{"files.create", "permissions.create"} {
				seen := 0
				w.spoil = func(_ int, at string) *trouble {
					if at != op {
						return nil
					}
					seen++
					return &trouble{status: c.status, reason: c.reason}
				}
				_, err := w.client.Put(t.Context(), f)
				got := fault.From(err)
				if got == nil || got.Reason != c.code || got.Transient() != c.transient || seen != c.requests {
					t.Errorf("%s: got %v after %d requests, want %s, transient %v, after %d", op, err, seen, c.code, c.transient, c.requests)
				}
				if strings.Contains(got.Message, "words of Google") || got.Uncertain {
					t.Errorf("%s: %+v", op, got)
				}
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.folder("ada@example.com", 10)
	refusals := 1
	w.spoil = func(_ int, op string) *trouble {
		if op == "files.create" && refusals > 0 {
			refusals--
			return &trouble{status: 429, reason: "rateLimitExceeded", retryAfter: "1"}
		}
		return nil
	}
	start := time.Now()
	_, err := w.client.Put(t.Context(), f)
	if err != nil || time.Since(start) < time.Second {
		t.Errorf("got %v after %s, want it to have waited for a second", err, time.Since(start))
	}
	// What is longer than a task should wait is left to the orchestrator.
	w.spoil = func(int, string) *trouble {
		return &trouble{status: 403, reason: "userRateLimitExceeded", retryAfter: time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	}
	before := w.n
	for range 3 {
		_, err = w.client.Put(t.Context(), w.fresh(f))
		got := fault.From(err)
		if got == nil || got.Reason != "DRIVE_RATE_LIMIT" || got.RetryAfter < 50*time.Minute {
			t.Errorf("got %v, want the hour that Google asks for", err)
		}
	}
	if w.n != before+1 {
		t.Errorf("%d requests, want 1 until the hour is over", w.n-before)
	}
}

// fresh is f under ids of its own that need no request.
func (w world) fresh(f drive.Folder) drive.Folder {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.ID = fmt.Sprintf("id-%d", len(w.ids))
	w.ids[f.ID] = true
	f.Files = nil
	return f
}
