package drive

import (
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
)

// class says whether, and how soon, repeating a request can help.
type class int

const (
	// final: it will be refused again; somebody has to change something.
	final class = iota
	// later: not within this task's patience, but without anybody changing the request.
	later
	// again: soon.
	again
	// slowDown: soon, and everything else more slowly, too.
	slowDown
)

// meant is what a refusal means.
type meant struct {
	class class
	kind  fault.Kind
	code  string
	text  string
	after time.Duration // the least to wait before the task is tried again
	given *fault.Error  // it was one already
}

func (m meant) fault(cause error) *fault.Error {
	if m.given != nil {
		return m.given
	}
	f := fault.New(m.kind, m.code, "%s", m.text)
	f.RetryAfter = m.after
	if cause == nil {
		return f
	}
	return f.Because(cause)
}

var (
	throttled   = slow("DRIVE_RATE_LIMIT", "Google Drive asks for fewer requests; it goes on more slowly", 5*time.Second)
	unreachable = meant{class: again, kind: fault.Unavailable, code: "DRIVE_UNREACHABLE", text: "Google Drive did not answer; it will be tried again"}
	broken      = meant{class: again, kind: fault.Unavailable, code: "DRIVE_UNAVAILABLE", text: "Google Drive has a fault of its own at the moment; it will be tried again"}
	refused     = no(fault.Invalid, "DRIVE_REFUSED", "Google Drive refuses the request; the log has its reason")
)

func slow(code, text string, after time.Duration) meant {
	return meant{class: slowDown, kind: fault.Exhausted, code: code, text: text, after: after}
}

func wait(kind fault.Kind, code, text string, after time.Duration) meant {
	return meant{class: later, kind: kind, code: code, text: text, after: after}
}

func no(kind fault.Kind, code, text string) meant {
	return meant{class: final, kind: kind, code: code, text: text}
}

// reasons is what Google says when it refuses, as far as it is documented. What is not here goes by its HTTP status.
var reasons = map[string]meant{
	// How much, how fast.
	"rateLimitExceeded":        throttled,
	"userRateLimitExceeded":    throttled,
	"limitExceeded":            throttled,
	"quotaExceeded":            throttled,
	"UrlLeaseLimitExceeded":    throttled,
	"sharingRateLimitExceeded": slow("DRIVE_SHARING_LIMIT", "Google Drive does not let this account share so much in so short a time; it will be tried again", time.Minute),
	"dailyLimitExceeded":       wait(fault.Exhausted, "DRIVE_DAILY_LIMIT", "this account may not ask Google Drive for more today; it will be tried again, or raise the limit in Google's console", time.Hour),

	// Google's own trouble.
	"backendError":        broken,
	"internalError":       broken,
	"internalServerError": broken,
	"transientError":      broken,

	// Who we are.
	"authError":               wait(fault.Unavailable, "DRIVE_CREDENTIALS", "Google does not accept our credentials, so nothing can be put into Drive until the service account's file is put right", time.Minute),
	"accessNotConfigured":     no(fault.Denied, "DRIVE_NOT_ENABLED", "the Drive API is not switched on for our project; switch it on in Google's console"),
	"insufficientPermissions": no(fault.Denied, "DRIVE_SCOPE", "the credentials do not allow files to be made in Drive; give the service account the scope drive.file"),
	"insufficientScopes":      no(fault.Denied, "DRIVE_SCOPE", "the credentials do not allow files to be made in Drive; give the service account the scope drive.file"),

	// What the account may do.
	"forbidden":                     no(fault.Denied, "DRIVE_DENIED", "Google Drive does not let our account do this; check what it may do in the folder that copies are put into"),
	"insufficientFilePermissions":   no(fault.Denied, "DRIVE_FILE_DENIED", "our account may not change a copy in Drive any more; somebody else has taken it over, or the folder it is in"),
	"appNotAuthorizedToFile":        no(fault.Denied, "DRIVE_FILE_DENIED", "a copy in Drive was not made by us, or our access to it was taken away"),
	"insufficientParentPermissions": no(fault.Denied, "DRIVE_PARENT_DENIED", "our account may not make anything in the folder that copies are put into; let it"),
	"domainPolicy":                  no(fault.Denied, "DRIVE_POLICY", "the administrators of our Google domain do not allow apps to use Drive; ask them, or send links of our own"),

	// Whom may it be shared with.
	"invalidSharingRequest":                            no(fault.Invalid, "DRIVE_NOT_SHARED", "Google Drive does not share with this address; it may have no Google account. Send them a link of our own, or use another address"),
	"shareInNotPermitted":                              no(fault.Denied, "DRIVE_SHARING_POLICY", "the recipient's organisation does not allow files from outside; send them a link of our own"),
	"shareOutNotPermitted":                             no(fault.Denied, "DRIVE_SHARING_POLICY", "our organisation does not allow sharing outside of it; ask its administrators, or send links of our own"),
	"shareOutNotPermittedToUser":                       no(fault.Denied, "DRIVE_SHARING_POLICY", "our organisation does not allow sharing with this recipient; ask its administrators, or send them a link of our own"),
	"publishOutNotPermitted":                           no(fault.Denied, "DRIVE_SHARING_POLICY", "our organisation does not allow sharing outside of it; ask its administrators, or send links of our own"),
	"shareOutWarning":                                  no(fault.Denied, "DRIVE_SHARING_POLICY", "our organisation wants a person to confirm what goes outside; ask its administrators, or send links of our own"),
	"cannotShareTeamDriveTopFolderWithAnyoneOrDomains": no(fault.Denied, "DRIVE_SHARING_POLICY", "the shared drive does not allow this; ask who manages it"),
	"cannotModifyInheritedTeamDrivePermission":         no(fault.Denied, "DRIVE_INHERITED", "a permission comes from the shared drive itself and cannot be taken away here; ask who manages it"),
	"cannotModifyInheritedPermission":                  no(fault.Denied, "DRIVE_INHERITED", "a permission comes from the folder above and cannot be taken away here; ask who manages it"),
	"teamDriveDomainUsersOnlyRestriction":              no(fault.Denied, "DRIVE_SHARING_POLICY", "the shared drive is for its own domain only; use another, or send links of our own"),
	"teamDriveTeamMembersOnlyRestriction":              no(fault.Denied, "DRIVE_SHARING_POLICY", "the shared drive is for its members only; use another, or send links of our own"),
	"teamDriveMembershipRequired":                      no(fault.Denied, "DRIVE_MEMBERSHIP", "our account is no member of the shared drive that copies are put into; make it one"),
	"fileOwnerNotMemberOfTeamDrive":                    no(fault.Denied, "DRIVE_MEMBERSHIP", "our account is no member of the shared drive that copies are put into; make it one"),

	// Room.
	"storageQuotaExceeded":               no(fault.Conflict, "DRIVE_FULL", "our account's Drive is full; make room, or name a shared drive to put copies into"),
	"teamDriveFileLimitExceeded":         no(fault.Conflict, "DRIVE_FULL", "the shared drive has as many files as Google allows; make room, or name another"),
	"numChildrenInNonRootLimitExceeded":  no(fault.Conflict, "DRIVE_FULL", "the folder that copies are put into has as many entries as Google allows; name another"),
	"activeItemCreationLimitExceeded":    no(fault.Conflict, "DRIVE_FULL", "our account has made as many files as Google allows; remove some, or use another"),
	"myDriveHierarchyDepthLimitExceeded": no(fault.Conflict, "DRIVE_TOO_DEEP", "the folder that copies are put into lies too deep; name one further up"),
	"teamDriveHierarchyTooDeep":          no(fault.Conflict, "DRIVE_TOO_DEEP", "the folder that copies are put into lies too deep; name one further up"),
	"teamDrivesParentLimit":              no(fault.Conflict, "DRIVE_REFUSED", "something in a shared drive can only lie in one folder"),
	"teamDrivesFolderMoveInNotSupported": no(fault.Conflict, "DRIVE_REFUSED", "the shared drive does not take folders from outside"),
	"fileWriterTeamDriveMoveInDisabled":  no(fault.Denied, "DRIVE_POLICY", "our Google domain's administrators do not allow files to be moved into shared drives; ask them"),
	"sharingLimitExceeded":               no(fault.Conflict, "DRIVE_FULL", "it is shared with as many people as Google allows"),
	"cannotShareAbusiveItem":             no(fault.Denied, "DRIVE_ABUSE", "Google takes the copy for something harmful and does not share it; send a link of our own"),
	"abusiveContentRestriction":          no(fault.Denied, "DRIVE_ABUSE", "Google takes the copy for something harmful and does not share it; send a link of our own"),

	// What is there, or not.
	"notFound":    no(fault.NotFound, "DRIVE_NOT_FOUND", "what should be in Drive is not there; the folder that copies are put into may have been removed"),
	"fileIdInUse": no(fault.Conflict, "DRIVE_ID_TAKEN", "there is something in Drive under this id"),
	"badRequest":  refused,
	"invalid":     refused,
	"required":    refused,
}
