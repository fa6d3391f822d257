package standalone_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	credentialv1 "github.com/filigreehq/filigree/proto/gen/filigree/credential/v1"
	definitionv1 "github.com/filigreehq/filigree/proto/gen/filigree/definition/v1"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
)

const (
	readsOnly = "it changes nothing"
	asTask    = "a task's handler: TaskService says what becomes of its answers"
	byTask    = "TestCallsThatFailOrOnlySeemTo calls it"
)

var methods = map[string]method{
	"ControlService.ListFunctions":       {safe: readsOnly},
	"ControlService.GetPauses":           {safe: readsOnly},
	"ControlService.ListWorkers":         {safe: readsOnly},
	"ControlService.GetQuota":            {safe: readsOnly},
	"ControlService.ListLimits":          {safe: readsOnly},
	"ControlService.ListStudioLimits":    {safe: readsOnly},
	"ControlService.ListResources":       {safe: readsOnly},
	"ControlService.ListStudioResources": {safe: readsOnly},
	"ControlService.PauseFunction":       {do: func(s *suite) { s.pause(true, "test.Send", "") }},
	"ControlService.ResumeFunction":      {do: func(s *suite) { s.pause(false, "test.Send", "") }},
	"ControlService.PauseProduction":     {do: func(s *suite) { s.pause(true, "", "p") }},
	"ControlService.ResumeProduction":    {do: func(s *suite) { s.pause(false, "", "p") }},
	"ControlService.SetWeight": {do: func(s *suite) {
		s.again(func(ctx context.Context) error {
			_, err := s.control.SetWeight(ctx, &controlv1.SetWeightRequest{Production: "p", Weight: int32(1 + s.round)})
			return err
		})
		s.want("weights", s.pauses().GetWeights()[0].GetWeight(), 1+s.round)
		s.want("how many", len(s.pauses().GetWeights()), 1)
	}},
	"ControlService.SetQuota": {do: func(s *suite) {
		s.again(func(ctx context.Context) error {
			_, err := s.control.SetQuota(ctx, &controlv1.SetQuotaRequest{Production: "p", Quota: &controlv1.Quota{OpenItems: new(int32(1000 + s.round))}})
			return err
		})
		resp := ask(s, func(ctx context.Context) (*controlv1.GetQuotaResponse, error) {
			return s.control.GetQuota(ctx, &controlv1.GetQuotaRequest{Production: "p"})
		})
		s.want("the quota", resp.GetQuota().GetOpenItems(), 1000+s.round)
	}},
	"ControlService.SetLimit":            {do: func(s *suite) { s.setLimit("p") }},
	"ControlService.DeleteLimit":         {do: func(s *suite) { s.deleteLimit("p") }},
	"ControlService.SetStudioLimit":      {do: func(s *suite) { s.setLimit("") }},
	"ControlService.DeleteStudioLimit":   {do: func(s *suite) { s.deleteLimit("") }},
	"ControlService.PutResource":         {do: func(s *suite) { s.putResource("p") }},
	"ControlService.ResetResource":       {do: func(s *suite) { s.resetResource("p") }},
	"ControlService.DeleteResource":      {do: func(s *suite) { s.deleteResource("p") }},
	"ControlService.PutStudioResource":   {do: func(s *suite) { s.putResource("") }},
	"ControlService.ResetStudioResource": {do: func(s *suite) { s.resetResource("") }},
	"ControlService.DeleteStudioResource": {do: func(s *suite) {
		s.deleteResource("")
	}},

	"CredentialService.ListCredentials":        {safe: readsOnly},
	"CredentialService.ListStudioCredentials":  {safe: readsOnly},
	"CredentialService.OpenCredential":         {safe: readsOnly},
	"CredentialService.PutCredential":          {do: func(s *suite) { s.putCredential("p") }},
	"CredentialService.DeleteCredential":       {do: func(s *suite) { s.deleteCredential("p") }},
	"CredentialService.PutStudioCredential":    {do: func(s *suite) { s.putCredential("") }},
	"CredentialService.DeleteStudioCredential": {do: func(s *suite) { s.deleteCredential("") }},

	"DefinitionService.GetDefinition":      {safe: readsOnly},
	"DefinitionService.ListDefinitions":    {safe: readsOnly},
	"DefinitionService.GetDefinitionGraph": {safe: readsOnly},
	"DefinitionService.ListRollouts":       {safe: readsOnly},
	"DefinitionService.PutDefinition": {do: func(s *suite) {
		s.again(func(ctx context.Context) error {
			_, err := s.definitions.PutDefinition(ctx, &definitionv1.PutDefinitionRequest{Source: fmt.Sprintf(quick, "many", s.round+1, "test.Send")})
			return err
		})
		resp := ask(s, func(ctx context.Context) (*definitionv1.ListDefinitionsResponse, error) {
			return s.definitions.ListDefinitions(ctx, &definitionv1.ListDefinitionsRequest{})
		})
		n := 0
		for _, d := range resp.GetDefinitions() {
			if d.GetName() == "many" {
				n++
			}
		}
		s.want("versions", n, s.round+1)
	}},
	"DefinitionService.SetRollout": {do: func(s *suite) {
		s.again(func(ctx context.Context) error {
			_, err := s.definitions.SetRollout(ctx, &definitionv1.SetRolloutRequest{Production: "p", Name: "quick", Shares: []*definitionv1.Share{{Version: 1, Percent: 100}}})
			return err
		})
		resp := ask(s, func(ctx context.Context) (*definitionv1.ListRolloutsResponse, error) {
			return s.definitions.ListRollouts(ctx, &definitionv1.ListRolloutsRequest{Production: "p"})
		})
		s.want("rollouts", len(resp.GetRollouts()), 1)
	}},

	"DirectoryService.GetProduction":   {safe: readsOnly},
	"DirectoryService.ListProductions": {safe: readsOnly},
	"DirectoryService.Authenticate":    {safe: readsOnly},
	"DirectoryService.ListDevices":     {safe: readsOnly},
	"DirectoryService.RevealPassword":  {safe: "it changes nothing; each look is recorded, also one whose answer got lost, since it may have been seen"},
	"DirectoryService.CreateToken":     {safe: "each call makes a token of its own: the secret of a lost answer is nobody's, and grants nothing to who does not have it"},
	"DirectoryService.CreateProduction": {do: func(s *suite) {
		s.again(func(ctx context.Context) error {
			_, err := s.directory.CreateProduction(ctx, &directoryv1.CreateProductionRequest{Id: s.name(), Name: s.name()})
			return err
		})
		resp := ask(s, func(ctx context.Context) (*directoryv1.ListProductionsResponse, error) {
			return s.directory.ListProductions(ctx, &directoryv1.ListProductionsRequest{PageSize: 100})
		})
		n := 0
		for _, p := range resp.GetProductions() {
			if p.GetId() == s.name() {
				n++
			}
		}
		s.want("productions of that id", n, 1)
	}},
	"DirectoryService.UpdateProduction": {do: func(s *suite) {
		on := s.round%2 == 0
		s.again(func(ctx context.Context) error {
			_, err := s.directory.UpdateProduction(ctx, &directoryv1.UpdateProductionRequest{Production: "p", OpenRestricted: &on})
			return err
		})
		resp := ask(s, func(ctx context.Context) (*directoryv1.GetProductionResponse, error) {
			return s.directory.GetProduction(ctx, &directoryv1.GetProductionRequest{Production: "p"})
		})
		s.want("what it opens", resp.GetProduction().GetOpenRestricted(), on)
	}},
	"DirectoryService.RevokeToken": {do: func(s *suite) {
		id := ""
		resp := ask(s, func(ctx context.Context) (*directoryv1.CreateTokenResponse, error) {
			return s.directory.CreateToken(ctx, &directoryv1.CreateTokenRequest{Role: "coordinator", Productions: []string{"p"}})
		})
		id = resp.GetId()
		s.again(func(ctx context.Context) error {
			_, err := s.directory.RevokeToken(ctx, &directoryv1.RevokeTokenRequest{Token: id})
			return err
		}, "TOKEN_UNKNOWN")
	}},
	"DirectoryService.RegisterDevice": {do: func(s *suite) {
		s.again(func(ctx context.Context) error {
			_, err := s.directory.RegisterDevice(ctx, &directoryv1.RegisterDeviceRequest{Production: "p", Email: s.name() + "@example.com", Platform: "fcm", Token: "token-" + s.name()})
			return err
		})
		s.want("devices", len(s.devices()), 1)
	}},
	"DirectoryService.RemoveDevice": {do: func(s *suite) {
		s.calm(func() {
			_, err := s.directory.RegisterDevice(s.t.Context(), &directoryv1.RegisterDeviceRequest{Production: "p", Email: s.name() + "@example.com", Platform: "fcm", Token: "token-" + s.name()})
			if err != nil {
				s.t.Fatal(err)
			}
		})
		id := s.devices()[0].GetId()
		s.again(func(ctx context.Context) error {
			_, err := s.directory.RemoveDevice(ctx, &directoryv1.RemoveDeviceRequest{Production: "p", Device: id})
			return err
		}, "DEVICE_UNKNOWN")
		s.want("devices", len(s.devices()), 0)
	}},

	"DistributionService.GetDistribution":      {safe: readsOnly},
	"DistributionService.CheckDistribution":    {safe: readsOnly},
	"DistributionService.ListDistributions":    {safe: readsOnly},
	"DistributionService.ListItems":            {safe: readsOnly},
	"DistributionService.ListRecipients":       {safe: readsOnly},
	"DistributionService.ListEvents":           {safe: readsOnly},
	"DistributionService.GetDistributionGraph": {safe: readsOnly},
	"DistributionService.GetBatch":             {safe: readsOnly},
	"DistributionService.ListBatches":          {safe: readsOnly},
	"DistributionService.GetArtifact":          {safe: readsOnly},
	"DistributionService.WatchDistribution":    {safe: readsOnly},
	"DistributionService.CreateDistribution": {do: func(s *suite) {
		id := ""
		s.again(func(ctx context.Context) error {
			resp, err := s.distributions.CreateDistribution(ctx, s.request("quick", "create "+s.name()))
			id = resp.GetDistribution().GetId()
			return err
		})
		s.await(id, "completed")
		s.want("distributions", len(s.titled("create "+s.name())), 1)
		s.want("mails", s.sent(id), 1)
	}},
	"DistributionService.CancelDistribution": {do: func(s *suite) {
		id := s.made("never", "cancel "+s.name())
		s.again(func(ctx context.Context) error {
			_, err := s.distributions.CancelDistribution(ctx, &distributionv1.CancelDistributionRequest{Production: "p", Distribution: id})
			return err
		})
		s.await(id, "cancelled")
		s.want("events", s.events(id, "cancel_requested"), 1)
	}},
	"DistributionService.PauseDistribution": {do: func(s *suite) {
		id := s.made("never", "pause "+s.name())
		s.again(func(ctx context.Context) error {
			_, err := s.distributions.PauseDistribution(ctx, &distributionv1.PauseDistributionRequest{Production: "p", Distribution: id})
			return err
		})
		s.want("state", s.get(id).GetState(), "paused")
		s.want("events", s.events(id, "paused"), 1)
	}},
	"DistributionService.ResumeDistribution": {do: func(s *suite) {
		id := s.made("never", "resume "+s.name())
		s.calm(func() {
			_, err := s.distributions.PauseDistribution(s.t.Context(), &distributionv1.PauseDistributionRequest{Production: "p", Distribution: id})
			if err != nil {
				s.t.Fatal(err)
			}
		})
		s.again(func(ctx context.Context) error {
			_, err := s.distributions.ResumeDistribution(ctx, &distributionv1.ResumeDistributionRequest{Production: "p", Distribution: id})
			return err
		})
		s.want("state", s.get(id).GetState(), "running")
		s.want("events", s.events(id, "resumed"), 1)
	}},
	"DistributionService.CreateBatch": {do: func(s *suite) {
		id := s.batch()
		resp := ask(s, func(ctx context.Context) (*distributionv1.ListBatchesResponse, error) {
			return s.distributions.ListBatches(ctx, &distributionv1.ListBatchesRequest{Production: "p", PageSize: 100})
		})
		n := 0
		for _, b := range resp.GetBatches() {
			if b.GetFilter().GetTitle() == "batch "+s.name() {
				n++
			}
		}
		s.want("batches", n, 1)
		_ = id
	}},
	"DistributionService.PauseBatch":  {do: func(s *suite) { s.haltBatch(true) }},
	"DistributionService.ResumeBatch": {do: func(s *suite) { s.haltBatch(false) }},
	"DistributionService.RetryDistribution": {do: func(s *suite) {
		id := s.made("failing", "retry "+s.name())
		s.await(id, "failed")
		s.again(func(ctx context.Context) error {
			_, err := s.distributions.RetryDistribution(ctx, &distributionv1.RetryDistributionRequest{Production: "p", Distribution: id})
			return err
		}, "NOTHING_TO_RETRY")
		s.await(id, "failed")
		// Asked for once more after it had failed again, it runs again: nobody who has their mail gets another.
		if n := s.events(id, "attempt"); n < 2 || n > 3 {
			s.t.Errorf("%d attempts, want the first, that of the retry, and one more at most", n)
		}
		s.want("mails", s.sent(id), 0)
	}},
	"DistributionService.EndFailing": {do: func(s *suite) {
		id := s.made("failing", "skip "+s.name())
		s.await(id, "failed")
		s.again(func(ctx context.Context) error {
			_, err := s.distributions.EndFailing(ctx, &distributionv1.EndFailingRequest{Production: "p", Distribution: id, Action: "skip"})
			return err
		}, "NOTHING_TO_SKIP")
		s.await(id, "failed")
		s.want("steps that were skipped", s.events(id, "skipped"), 1)
		s.want("attempts", s.events(id, "attempt"), 1)
		s.want("mails", s.sent(id), 0)
	}},
	"DistributionService.ResendRecipient": {do: func(s *suite) {
		id := s.made("quick", "resend "+s.name())
		s.await(id, "completed")
		s.again(func(ctx context.Context) error {
			_, err := s.distributions.ResendRecipient(ctx, &distributionv1.ResendRecipientRequest{
				Production: "p", Distribution: id, Recipient: id + ".r1", IdempotencyKey: s.name()})
			return err
		})
		s.awaitMails(id, 2)
		s.await(id, "completed")
		s.again(func(ctx context.Context) error { // and later
			_, err := s.distributions.ResendRecipient(ctx, &distributionv1.ResendRecipientRequest{
				Production: "p", Distribution: id, Recipient: id + ".r1", IdempotencyKey: s.name()})
			return err
		})
		s.await(id, "completed")
		s.want("mails", s.sent(id), 2)
		s.want("events", s.events(id, "resend"), 1)
	}},
	"DistributionService.RevokeDistribution": {do: func(s *suite) {
		id := s.made("never", "revoke "+s.name())
		s.again(func(ctx context.Context) error {
			_, err := s.distributions.RevokeDistribution(ctx, &distributionv1.RevokeDistributionRequest{Production: "p", Distribution: id})
			return err
		})
		s.await(id, "cancelled")
		s.want("events", s.events(id, "cancel_requested"), 1)
	}},
	"DistributionService.ArchivedDistribution": {do: func(s *suite) {
		id := s.made("failing", "archived "+s.name())
		d := s.await(id, "failed")
		list := &distributionv1.ListEventsRequest{Production: "p", Distribution: id, PageSize: 500}
		all := ask(s, func(ctx context.Context) (*distributionv1.ListEventsResponse, error) {
			return s.distributions.ListEvents(ctx, list)
		}).GetEvents()
		list.PageToken = all[len(all)-2].GetId() // "ended" comes after: it stays
		s.again(func(ctx context.Context) error {
			resp, err := s.distributions.ArchivedDistribution(ctx, &distributionv1.ArchivedDistributionRequest{
				Production: "p", Distribution: id, EndedAt: d.GetEndedAt(), LastEvent: list.GetPageToken(), Sha256: strings.Repeat("a", 64)})
			if err == nil {
				s.want("more", resp.GetMore(), true)
			}
			return err
		})
		left := ask(s, func(ctx context.Context) (*distributionv1.ListEventsResponse, error) {
			return s.distributions.ListEvents(ctx, list)
		}).GetEvents()
		s.want("events", len(left), 1)
		s.want("kind", left[0].GetKind(), "ended")
	}},

	"EmailService.Send":         {safe: asTask},
	"PushService.Send":          {safe: asTask},
	"ThumbnailService.Render":   {safe: asTask},
	"ThumbnailService.Preview":  {safe: readsOnly},
	"WatermarkService.Prepare":  {safe: asTask},
	"WatermarkService.Stamp":    {safe: asTask},
	"WatermarkService.Preview":  {safe: readsOnly},
	"TaskService.Pull":          {safe: byTask},
	"TaskService.Report":        {safe: byTask},
	"TaskService.Checkpoint":    {safe: byTask},
	"TaskService.Renew":         {safe: byTask},
	"TaskService.Occupy":        {safe: byTask},
	"TaskService.Vacate":        {safe: byTask},
	"FileService.GetFile":       {safe: readsOnly},
	"FileService.ListFiles":     {safe: readsOnly},
	"LinkService.Urls":          {safe: readsOnly},
	"LinkService.GetLinks":      {safe: readsOnly},
	"ScheduleService.ListHooks": {safe: readsOnly},
	"ScheduleService.ListSchedules": {
		safe: readsOnly},

	"FileService.Upload": {do: func(s *suite) {
		sum := ""
		s.again(func(context.Context) error {
			f, err := s.upload([]byte("%PDF-1.7 " + s.name()))
			sum = f.GetSha256()
			return err
		})
		s.want("files", s.uploads(sum), 1)
	}},
	"LinkService.Create": {do: func(s *suite) {
		s.link()
		s.want("links", len(s.linkStates()), 1)
	}},
	"LinkService.Revoke": {do: func(s *suite) {
		s.calm(s.link)
		s.again(func(ctx context.Context) error {
			_, err := s.links.Revoke(ctx, &linkv1.RevokeRequest{Production: "p", Distribution: "l", Links: []string{"l." + s.name()}})
			return err
		})
		s.want("its access", s.linkStates()[0].GetAccess(), "revoked")
	}},

	"ScheduleService.PutSchedule": {do: func(s *suite) {
		s.putSchedule()
		s.want("schedules", s.schedulesNamed(), 1)
	}},
	"ScheduleService.DeleteSchedule": {do: func(s *suite) {
		s.calm(s.putSchedule)
		s.again(func(ctx context.Context) error {
			_, err := s.schedules.DeleteSchedule(ctx, &schedulev1.DeleteScheduleRequest{Production: "p", Name: s.name()})
			return err
		}, "SCHEDULE_UNKNOWN")
		s.want("schedules", s.schedulesNamed(), 0)
	}},
	"ScheduleService.PutHook": {do: func(s *suite) {
		secret := s.putHook("put-" + s.name())
		s.fire("put-"+s.name(), secret, "fired "+s.name())
	}},
	"ScheduleService.DeleteHook": {do: func(s *suite) {
		s.calm(func() { s.putHook("delete-" + s.name()) })
		s.again(func(ctx context.Context) error {
			_, err := s.schedules.DeleteHook(ctx, &schedulev1.DeleteHookRequest{Production: "p", Name: "delete-" + s.name()})
			return err
		}, "HOOK_UNKNOWN")
		resp := ask(s, func(ctx context.Context) (*schedulev1.ListHooksResponse, error) {
			return s.schedules.ListHooks(ctx, &schedulev1.ListHooksRequest{Production: "p"})
		})
		there := slices.ContainsFunc(resp.GetHooks(), func(h *schedulev1.Hook) bool { return h.GetName() == "delete-"+s.name() })
		s.want("a hook", there, false)
	}},
	"ScheduleService.FireHook": {do: func(s *suite) {
		secret := ""
		s.calm(func() { secret = s.putHook("fire-" + s.name()) })
		id := s.fire("fire-"+s.name(), secret, "hook "+s.name())
		s.await(id, "completed")
		s.want("distributions", len(s.titled("hook "+s.name())), 1)
		s.want("mails", s.sent(id), 1)
	}},
}

// sent counts the mails of a distribution.
func (s *suite) sent(id string) int {
	s.mails.mu.Lock()
	defer s.mails.mu.Unlock()
	n := 0
	for key, times := range s.mails.done {
		if strings.HasPrefix(key, id+".") {
			n += times
		}
	}
	return n
}

func (s *suite) awaitMails(id string, n int) {
	s.t.Helper()
	for late := time.Now().Add(time.Minute); s.sent(id) < n; <-time.After(10 * time.Millisecond) {
		if time.Now().After(late) {
			s.t.Fatalf("%s has %d mails, want %d", id, s.sent(id), n)
		}
	}
}

// titled lists the distributions of a title.
func (s *suite) titled(title string) []string {
	s.t.Helper()
	var out []string
	resp := ask(s, func(ctx context.Context) (*distributionv1.ListDistributionsResponse, error) {
		return s.distributions.ListDistributions(ctx, &distributionv1.ListDistributionsRequest{Production: "p", PageSize: 50})
	})
	for _, d := range resp.GetDistributions() {
		if d.GetTitle() == title {
			out = append(out, d.GetId())
		}
	}
	return out
}

func (s *suite) pauses() *controlv1.GetPausesResponse {
	s.t.Helper()
	var out *controlv1.GetPausesResponse
	s.calm(func() {
		var err error
		out, err = s.control.GetPauses(s.t.Context(), &controlv1.GetPausesRequest{})
		if err != nil {
			s.t.Fatal(err)
		}
	})
	return out
}

// pause pauses or resumes a function or production, after the opposite without faults.
func (s *suite) pause(on bool, function, production string) {
	s.t.Helper()
	set := func(ctx context.Context, on bool) error {
		var err error
		switch {
		case function != "" && on:
			_, err = s.control.PauseFunction(ctx, &controlv1.PauseFunctionRequest{Function: function})
		case function != "":
			_, err = s.control.ResumeFunction(ctx, &controlv1.ResumeFunctionRequest{Function: function})
		case on:
			_, err = s.control.PauseProduction(ctx, &controlv1.PauseProductionRequest{Production: production})
		default:
			_, err = s.control.ResumeProduction(ctx, &controlv1.ResumeProductionRequest{Production: production})
		}
		return err
	}
	s.calm(func() { s.again(func(ctx context.Context) error { return set(ctx, !on) }) })
	s.again(func(ctx context.Context) error { return set(ctx, on) })
	n := 0
	for _, p := range s.pauses().GetPauses() {
		if p.GetFunction() == function && p.GetProduction() == production {
			n++
		}
	}
	s.want("pauses", n, map[bool]int{true: 1}[on])
	s.calm(func() { s.again(func(ctx context.Context) error { return set(ctx, false) }) })
}

func (s *suite) devices() []*directoryv1.Device {
	s.t.Helper()
	var out []*directoryv1.Device
	resp := ask(s, func(ctx context.Context) (*directoryv1.ListDevicesResponse, error) {
		return s.directory.ListDevices(ctx, &directoryv1.ListDevicesRequest{Production: "p", Email: s.name() + "@example.com"})
	})
	out = resp.GetDevices()
	return out
}

func (s *suite) putCredential(production string) {
	s.t.Helper()
	s.again(func(ctx context.Context) error {
		var err error
		if production == "" {
			_, err = s.credentials.PutStudioCredential(ctx, &credentialv1.PutStudioCredentialRequest{Name: s.name(), Secret: "secret " + s.name()})
		} else {
			_, err = s.credentials.PutCredential(ctx, &credentialv1.PutCredentialRequest{Production: production, Name: s.name(), Secret: "secret " + s.name()})
		}
		return err
	})
	resp := ask(s, func(ctx context.Context) (*credentialv1.OpenCredentialResponse, error) {
		return s.credentials.OpenCredential(ctx, &credentialv1.OpenCredentialRequest{Production: production, Name: s.name()})
	})
	s.want("the secret", resp.GetSecret(), "secret "+s.name())
}

func (s *suite) deleteCredential(production string) {
	s.t.Helper()
	s.calm(func() { s.putCredential(production) })
	s.again(func(ctx context.Context) error {
		var err error
		if production == "" {
			_, err = s.credentials.DeleteStudioCredential(ctx, &credentialv1.DeleteStudioCredentialRequest{Name: s.name()})
		} else {
			_, err = s.credentials.DeleteCredential(ctx, &credentialv1.DeleteCredentialRequest{Production: production, Name: s.name()})
		}
		return err
	}, "CREDENTIAL_UNKNOWN")
	s.calm(func() {
		_, err := s.credentials.OpenCredential(s.t.Context(), &credentialv1.OpenCredentialRequest{Production: production, Name: s.name()})
		if err == nil {
			s.t.Error("it is still there")
		}
	})
}

// batch makes a batch that finds nothing, and returns its id.
func (s *suite) batch() string {
	s.t.Helper()
	id := ""
	s.again(func(ctx context.Context) error {
		resp, err := s.distributions.CreateBatch(ctx, &distributionv1.CreateBatchRequest{Production: "p", Operation: "pause",
			Filter: &distributionv1.BatchFilter{Title: "batch " + s.name()}, IdempotencyKey: "batch " + s.name()})
		id = resp.GetBatch().GetId()
		return err
	})
	return id
}

// haltBatch pauses or resumes a batch; one that was done before stays so.
func (s *suite) haltBatch(on bool) {
	s.t.Helper()
	id := ""
	s.calm(func() { id = s.batch() })
	state, ended := "", false
	s.again(func(ctx context.Context) error {
		var b *distributionv1.Batch
		var err error
		if on {
			var resp *distributionv1.PauseBatchResponse
			resp, err = s.distributions.PauseBatch(ctx, &distributionv1.PauseBatchRequest{Production: "p", Batch: id})
			b = resp.GetBatch()
		} else {
			var resp *distributionv1.ResumeBatchResponse
			resp, err = s.distributions.ResumeBatch(ctx, &distributionv1.ResumeBatchRequest{Production: "p", Batch: id})
			b = resp.GetBatch()
		}
		if reason(err) == "BATCH_ENDED" {
			ended = true
			return nil
		}
		state = b.GetState()
		return err
	})
	if on && !ended && state != "paused" && state != "done" {
		s.t.Errorf("the batch is %q", state)
	}
}

func (s *suite) uploads(sum string) int {
	s.t.Helper()
	n := 0
	s.calm(func() {
		resp, err := s.files.ListFiles(s.t.Context(), &listFiles{Production: "p", PageSize: 100})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, f := range resp.GetFiles() {
			if f.GetSha256() == sum {
				n++
			}
		}
	})
	return n
}

func (s *suite) link() {
	s.t.Helper()
	s.again(func(ctx context.Context) error {
		_, err := s.links.Create(ctx, &linkv1.CreateRequest{Production: "p", Link: "l." + s.name(), Distribution: "l", Mode: "link", Name: "Anna", Email: "anna@example.com",
			Title: "T", ProductionName: "P", Documents: []*linkv1.Document{{Name: "a.pdf", Key: "art/p/" + s.name(), Sha256: strings.Repeat("a", 64), Size: 10, Pages: 1, MediaType: "application/pdf"}}})
		return err
	})
}

func (s *suite) linkStates() []*linkv1.LinkState {
	s.t.Helper()
	var out []*linkv1.LinkState
	resp := ask(s, func(ctx context.Context) (*linkv1.GetLinksResponse, error) {
		return s.links.GetLinks(ctx, &linkv1.GetLinksRequest{Production: "p", Links: []string{"l." + s.name()}})
	})
	out = resp.GetLinks()
	return out
}

func (s *suite) template(title string) *distributionv1.CreateDistributionRequest {
	req := s.request("quick", title)
	req.Production, req.IdempotencyKey = "", ""
	return req
}

func (s *suite) putSchedule() {
	s.t.Helper()
	s.again(func(ctx context.Context) error {
		_, err := s.schedules.PutSchedule(ctx, &schedulev1.PutScheduleRequest{Production: "p", Name: s.name(),
			Schedule: &schedulev1.Schedule{Cron: "0 0 1 1 *", TimeZone: "UTC", Start: s.template("schedule")}})
		return err
	})
}

func (s *suite) schedulesNamed() int {
	s.t.Helper()
	n := 0
	resp := ask(s, func(ctx context.Context) (*schedulev1.ListSchedulesResponse, error) {
		return s.schedules.ListSchedules(ctx, &schedulev1.ListSchedulesRequest{Production: "p"})
	})
	for _, x := range resp.GetSchedules() {
		if x.GetName() == s.name() {
			n++
		}
	}
	return n
}

// putHook puts a webhook and returns its secret. Where the answer got lost that had it, another is asked for.
func (s *suite) putHook(name string) string {
	s.t.Helper()
	secret, rotate := "", false
	s.again(func(ctx context.Context) error {
		resp, err := s.schedules.PutHook(ctx, &schedulev1.PutHookRequest{Production: "p", Name: name, Rotate: rotate, Hook: &schedulev1.Hook{Start: s.template("")}})
		secret, rotate = resp.GetSecret(), err != nil
		return err
	})
	return secret
}

// fire calls a webhook and returns the distribution that it started.
func (s *suite) fire(name, secret, title string) string {
	s.t.Helper()
	id := ""
	s.again(func(ctx context.Context) error {
		req := fire(name, secret, "id "+title, fmt.Sprintf(`{"title":%q}`, title), time.Now())
		req.Production = "p"
		resp, err := s.schedules.FireHook(ctx, req)
		id = resp.GetDistribution().GetId()
		return err
	})
	return id
}
