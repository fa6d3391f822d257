package standalone_test

import (
	"context"
	"strings"

	controlv1 "github.com/filigreehq/filigree/proto/gen/filigree/control/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

func init() {
	methods["ControlService.DrainWorker"] = method{do: func(s *suite) { s.drain(true) }}
	methods["ControlService.UndrainWorker"] = method{do: func(s *suite) { s.drain(false) }}
	methods["DistributionService.RevokeRecipient"] = method{do: func(s *suite) {
		var d *distributionv1.Distribution
		access := func(link string) string {
			return ask(s, func(ctx context.Context) (*linkv1.GetLinksResponse, error) {
				return s.links.GetLinks(ctx, &linkv1.GetLinksRequest{Production: "p", Links: []string{link}})
			}).GetLinks()[0].GetAccess()
		}
		s.calm(func() {
			s.again(func(ctx context.Context) error { // those that are asked for it fail
				req := s.request("never", "revoke one "+s.name())
				req.Mode = "link"
				req.Recipients = append(req.Recipients, &distributionv1.RecipientInput{Name: "Ben", Email: "ben@example.com"})
				resp, err := s.distributions.CreateDistribution(ctx, req)
				d = resp.GetDistribution()
				return err
			})
			for _, r := range []string{".r1", ".r2"} {
				s.again(func(ctx context.Context) error {
					_, err := s.links.Create(ctx, &linkv1.CreateRequest{Production: "p", Link: d.GetId() + r, Distribution: d.GetId(), Mode: "link", Name: "Anna", Email: "anna@example.com",
						Title: "T", ProductionName: "P", Documents: []*linkv1.Document{{Name: "a.pdf", Key: "art/p/" + s.name(), Sha256: strings.Repeat("a", 64), Size: 10, Pages: 1, MediaType: "application/pdf"}}})
					return err
				})
			}
		})
		var last *distributionv1.RevokeRecipientResponse
		revoke := func(ctx context.Context) error {
			var err error
			last, err = s.distributions.RevokeRecipient(ctx, &distributionv1.RevokeRecipientRequest{Production: "p", Distribution: d.GetId(), Recipient: d.GetId() + ".r1"})
			return err
		}
		s.again(revoke)
		s.want("their access", access(d.GetId()+".r1"), "revoked")
		s.want("others' access", access(d.GetId()+".r2"), "active")
		s.again(revoke)
		s.want("links that another call ended", last.GetLinksRevoked(), int32(0))
	}}
}

// drain drains a worker of the row's own, or ends that.
func (s *suite) drain(on bool) {
	s.t.Helper()
	worker := "w/" + s.name()
	s.calm(func() {
		_, err := taskv1.NewTaskServiceClient(s.steady).Pull(s.t.Context(), &taskv1.PullRequest{Worker: worker, Functions: []string{"test.None"}, Slots: 1})
		if err != nil {
			s.t.Fatal(err)
		}
	})
	s.again(func(ctx context.Context) error {
		var err error
		if on {
			_, err = s.control.DrainWorker(ctx, &controlv1.DrainWorkerRequest{Worker: worker})
		} else {
			_, err = s.control.UndrainWorker(ctx, &controlv1.UndrainWorkerRequest{Worker: worker})
		}
		return err
	})
	resp := ask(s, func(ctx context.Context) (*controlv1.ListWorkersResponse, error) {
		return s.control.ListWorkers(ctx, &controlv1.ListWorkersRequest{})
	})
	for _, w := range resp.GetWorkers() {
		if w.GetName() == worker {
			s.want("draining", w.GetDraining(), on)
			return
		}
	}
	s.t.Errorf("%s is not listed", worker)
}
