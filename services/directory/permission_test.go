package directory_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	sessionv1 "github.com/filigreehq/filigree/proto/gen/filigree/session/v1"
)

// call is one method, asked about production.
type call struct {
	roles string // that may, by first letter
	// inProduction says that the caller must be allowed to act in the production asked about.
	inProduction bool
	do           func(ctx context.Context, production string) error
}

func (r *rig) calls() map[string]call {
	return map[string]call{
		"CreateProduction": {"a", false, func(ctx context.Context, p string) error {
			_, err := r.directory.CreateProduction(ctx, &directoryv1.CreateProductionRequest{Id: p, Name: "The " + p})
			return err
		}},
		"GetProduction": {"coa", true, func(ctx context.Context, p string) error {
			_, err := r.directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: p})
			return err
		}},
		"ListProductions": {"coa", false, func(ctx context.Context, _ string) error {
			_, err := r.directory.ListProductions(ctx, &directoryv1.ListProductionsRequest{})
			return err
		}},
		"UpdateProduction": {"a", true, func(ctx context.Context, p string) error {
			_, err := r.directory.UpdateProduction(ctx, &directoryv1.UpdateProductionRequest{Production: p, OpenRestricted: new(false)})
			return err
		}},
		"CreateToken": {"a", false, func(ctx context.Context, p string) error {
			_, err := r.directory.CreateToken(ctx, &directoryv1.CreateTokenRequest{Role: "oncall", Productions: []string{p}})
			return err
		}},
		"RevokeToken": {"a", false, func(ctx context.Context, _ string) error {
			_, err := r.directory.RevokeToken(ctx, &directoryv1.RevokeTokenRequest{Token: "tok_none"})
			if err != nil && fault.From(err).Reason == "TOKEN_UNKNOWN" {
				return nil // as far as one may come with it
			}
			return err
		}},
		"CreateSignIn": {"a", false, func(ctx context.Context, p string) error {
			_, err := r.sessions.CreateSignIn(ctx, &sessionv1.CreateSignInRequest{Role: "oncall", Productions: []string{p}})
			return err
		}},
		"RedeemSignIn": {"", false, func(ctx context.Context, _ string) error {
			_, err := r.sessions.RedeemSignIn(ctx, &sessionv1.RedeemSignInRequest{CodeSha256: sum(nil), SessionSha256: sum(nil)})
			return err
		}},
		"BeginSession": {"", false, func(ctx context.Context, p string) error {
			_, err := r.sessions.BeginSession(ctx, &sessionv1.BeginSessionRequest{SessionSha256: sum(nil), Subject: "x", Role: "oncall", Productions: []string{p}})
			return err
		}},
		"GetSession": {"", false, func(ctx context.Context, _ string) error {
			_, err := r.sessions.GetSession(ctx, &sessionv1.GetSessionRequest{SessionSha256: sum(nil)})
			return err
		}},
		"EndSession": {"", false, func(ctx context.Context, _ string) error {
			_, err := r.sessions.EndSession(ctx, &sessionv1.EndSessionRequest{SessionSha256: sum(nil)})
			return err
		}},
		"Authenticate": {"", false, func(ctx context.Context, _ string) error {
			_, err := r.directory.Authenticate(ctx, &directoryv1.AuthenticateRequest{TokenSha256: sum(nil)})
			return err
		}},
		"RevealPassword": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.RevealPassword(ctx, &directoryv1.RevealPasswordRequest{Production: p, Recipient: "d.r1"})
			return err
		}},
		"RegisterDevice": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.RegisterDevice(ctx, &directoryv1.RegisterDeviceRequest{Production: p, Email: "a@b", Platform: "fcm", Token: "t"})
			return err
		}},
		"RemoveDevice": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.RemoveDevice(ctx, &directoryv1.RemoveDeviceRequest{Production: p, Device: "dev_none"})
			return err
		}},
		"ListDevices": {"coa", true, func(ctx context.Context, p string) error {
			_, err := r.directory.ListDevices(ctx, &directoryv1.ListDevicesRequest{Production: p, Email: "a@b"})
			return err
		}},
		"CreatePerson": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.CreatePerson(ctx, &directoryv1.CreatePersonRequest{Production: p, Name: "A", Email: "a@b"})
			return err
		}},
		"GetPerson": {"coa", true, func(ctx context.Context, p string) error {
			_, err := r.directory.GetPerson(ctx, &directoryv1.GetPersonRequest{Production: p, Person: "per_none"})
			return unlessUnknown(err)
		}},
		"GetPeople": {"", false, func(ctx context.Context, p string) error {
			_, err := r.directory.GetPeople(ctx, &directoryv1.GetPeopleRequest{Production: p, People: []string{"per_none"}})
			return unlessUnknown(err)
		}},
		"ListPeople": {"coa", true, func(ctx context.Context, p string) error {
			_, err := r.directory.ListPeople(ctx, &directoryv1.ListPeopleRequest{Production: p})
			return err
		}},
		"UpdatePerson": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.UpdatePerson(ctx, &directoryv1.UpdatePersonRequest{Production: p, Person: "per_none", Name: "A", Email: "a@b"})
			return unlessUnknown(err)
		}},
		"DeletePerson": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.DeletePerson(ctx, &directoryv1.DeletePersonRequest{Production: p, Person: "per_none"})
			return err
		}},
		"ImportPeople": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.ImportPeople(ctx, &directoryv1.ImportPeopleRequest{Production: p, Csv: "name,email\nA,a@b\n"})
			return err
		}},
		"CreateList": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.CreateList(ctx, &directoryv1.CreateListRequest{Production: p, Name: "Crew"})
			return err
		}},
		"GetList": {"coa", true, func(ctx context.Context, p string) error {
			_, err := r.directory.GetList(ctx, &directoryv1.GetListRequest{Production: p, List: "none"})
			return unlessUnknown(err)
		}},
		"ListLists": {"coa", true, func(ctx context.Context, p string) error {
			_, err := r.directory.ListLists(ctx, &directoryv1.ListListsRequest{Production: p})
			return err
		}},
		"UpdateList": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.UpdateList(ctx, &directoryv1.UpdateListRequest{Production: p, List: "none", Name: "N"})
			return unlessUnknown(err)
		}},
		"DeleteList": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.DeleteList(ctx, &directoryv1.DeleteListRequest{Production: p, List: "none"})
			return err
		}},
		"ListListPeople": {"coa", true, func(ctx context.Context, p string) error {
			_, err := r.directory.ListListPeople(ctx, &directoryv1.ListListPeopleRequest{Production: p, List: "none"})
			return unlessUnknown(err)
		}},
		"AddListPeople": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.AddListPeople(ctx, &directoryv1.AddListPeopleRequest{Production: p, List: "none", People: []string{"per_none"}})
			return unlessUnknown(err)
		}},
		"RemoveListPeople": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.directory.RemoveListPeople(ctx, &directoryv1.RemoveListPeopleRequest{Production: p, List: "none", People: []string{"per_none"}})
			return unlessUnknown(err)
		}},
		"PutCredential": {"a", true, func(ctx context.Context, p string) error {
			_, err := r.credentials.PutCredential(ctx, &credentialv1.PutCredentialRequest{Production: p, Name: "smtp", Secret: "s"})
			return err
		}},
		"ListCredentials": {"oa", true, func(ctx context.Context, p string) error {
			_, err := r.credentials.ListCredentials(ctx, &credentialv1.ListCredentialsRequest{Production: p})
			return err
		}},
		"DeleteCredential": {"a", true, func(ctx context.Context, p string) error {
			_, err := r.credentials.DeleteCredential(ctx, &credentialv1.DeleteCredentialRequest{Production: p, Name: "smtp"})
			return err
		}},
		"PutStudioCredential": {"a", false, func(ctx context.Context, _ string) error {
			_, err := r.credentials.PutStudioCredential(ctx, &credentialv1.PutStudioCredentialRequest{Name: "smtp", Secret: "s"})
			return unlessNarrow(err)
		}},
		"ListStudioCredentials": {"oa", false, func(ctx context.Context, _ string) error {
			_, err := r.credentials.ListStudioCredentials(ctx, &credentialv1.ListStudioCredentialsRequest{})
			return unlessNarrow(err)
		}},
		"DeleteStudioCredential": {"a", false, func(ctx context.Context, _ string) error {
			_, err := r.credentials.DeleteStudioCredential(ctx, &credentialv1.DeleteStudioCredentialRequest{Name: "smtp"})
			return unlessNarrow(err)
		}},
		"OpenCredential": {"", false, func(ctx context.Context, p string) error {
			_, err := r.credentials.OpenCredential(ctx, &credentialv1.OpenCredentialRequest{Production: p, Name: "smtp"})
			return err
		}},
		"Upload": {"ca", true, func(ctx context.Context, p string) error {
			_, err := r.upload(ctx, p, "a.pdf", []byte("permissions"))
			return err
		}},
		"GetFile": {"coa", true, func(ctx context.Context, p string) error {
			_, err := r.files.GetFile(ctx, &filev1.GetFileRequest{Production: p, File: sum([]byte("permissions"))})
			if err != nil && fault.From(err).Reason == "FILE_UNKNOWN" {
				return nil
			}
			return err
		}},
		"ListFiles": {"coa", true, func(ctx context.Context, p string) error {
			_, err := r.files.ListFiles(ctx, &filev1.ListFilesRequest{Production: p})
			return err
		}},
	}
}

// unlessUnknown is err, apart from the refusal of who or what is not there.
func unlessUnknown(err error) error {
	if err != nil && slices.Contains([]string{"PERSON_UNKNOWN", "LIST_UNKNOWN"}, fault.From(err).Reason) {
		return nil
	}
	return err
}

// unlessNarrow is err, apart from the refusal of a token that is for certain productions only: as far as one may come
// with it.
func unlessNarrow(err error) error {
	if err != nil && fault.From(err).Reason == "STUDIO_NOT_YOURS" {
		return nil
	}
	return err
}

func permissions(t *testing.T, r *rig) {
	r.production(t, "allowed")
	roles := map[string]accessv1.Role{
		"c": accessv1.Role_ROLE_COORDINATOR, "o": accessv1.Role_ROLE_ONCALL, "a": accessv1.Role_ROLE_ADMIN,
	}
	for method, c := range r.calls() {
		for letter, role := range roles {
			err := c.do(as(t, role, "allowed"), "allowed")
			if strings.Contains(c.roles, letter) {
				if err != nil {
					t.Errorf("%s as %s: %v", method, role, err)
				}
				continue
			}
			wantFault(t, err, fault.Denied, "ROLE_MISSING")
		}
		err := c.do(as(t, accessv1.Role_ROLE_UNSPECIFIED, "allowed"), "allowed")
		wantFault(t, err, fault.Unauthenticated, "TOKEN_MISSING")
	}
}

func sameAsUnknown(t *testing.T, r *rig) {
	r.production(t, "ours")
	r.production(t, "hidden")
	checked := 0
	for method, c := range r.calls() {
		if !c.inProduction {
			continue
		}
		role := accessv1.Role_ROLE_COORDINATOR
		if !strings.Contains(c.roles, "c") {
			role = accessv1.Role_ROLE_ADMIN
		}
		ctx := as(t, role, "ours")
		hidden, none := c.do(ctx, "hidden"), c.do(ctx, "absent")
		wantFault(t, hidden, fault.NotFound, "PRODUCTION_UNKNOWN")
		// And of one that may everywhere: what is not there is said in the same words.
		everywhere := c.do(as(t, role, "*"), "absent")
		for _, err := range []error{none, everywhere} {
			got, want := fault.From(err), fault.From(hidden)
			if got.Reason != want.Reason || got.Kind != want.Kind || strings.ReplaceAll(got.Message, "absent", "hidden") != want.Message {
				t.Errorf("%s: %v and %v can be told apart", method, err, hidden)
			}
		}
		for _, odd := range []string{"a}b", "{p:ours}", "../ours", "OURS", "*"} {
			err := c.do(as(t, role, "*"), odd)
			wantFault(t, err, fault.NotFound, "PRODUCTION_UNKNOWN")
		}
		checked++
	}
	if checked != 26 {
		t.Errorf("checked %d methods, want 26", checked)
	}
}
