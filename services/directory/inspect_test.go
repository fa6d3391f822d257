package directory_test

import (
	"context"
	"strings"
	"testing"

	"github.com/filigreehq/filigree/pkg/fault"
	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
	watermarkv1 "github.com/filigreehq/filigree/proto/gen/filigree/watermark/v1"
)

func refuse(context.Context, *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
	return nil, fault.New(fault.Invalid, "PDF_ENCRYPTED", "the document is locked; send one without a password")
}

func uploadRefused(t *testing.T, r *rig) {
	ctx := r.production(t, "refused")
	r.watermark.answer(refuse)
	f, err := r.upload(ctx, "refused", "a.pdf", []byte("locked"))
	if err != nil {
		t.Fatal(err)
	}
	if f.GetVerdict() != "refused" || f.GetErrorCode() != "PDF_ENCRYPTED" || !strings.Contains(f.GetErrorMessage(), "locked") {
		t.Errorf("got %v", f)
	}
}

func uploadRefusedAgain(t *testing.T, r *rig) {
	ctx := r.production(t, "refused-again")
	r.watermark.answer(refuse)
	_, err := r.upload(ctx, "refused-again", "a.pdf", []byte("learnt"))
	if err != nil {
		t.Fatal(err)
	}
	r.watermark.answer(nil)
	f, err := r.upload(ctx, "refused-again", "a.pdf", []byte("learnt"))
	if err != nil || f.GetVerdict() != "ok" || f.GetErrorCode() != "" || f.GetErrorMessage() != "" {
		t.Errorf("got %v %v, want ok", f, err)
	}
}

// A document that opens without a password is taken where the production says so, as long as it says so.
func uploadRestricted(t *testing.T, r *rig) {
	r.watermark.answer(func(_ context.Context, req *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
		if req.GetFile().GetOpenRestricted() {
			return &watermarkv1.PrepareResponse{Pages: 2}, nil
		}
		return refuse(t.Context(), req)
	})
	closed, open := r.production(t, "restricted-no"), r.production(t, "restricted-yes")
	set := func(on bool) {
		t.Helper()
		_, err := r.directory.UpdateProduction(admin(t), &directoryv1.UpdateProductionRequest{Production: "restricted-yes", OpenRestricted: &on})
		if err != nil {
			t.Fatal(err)
		}
	}
	verdict := func(ctx context.Context, production, want string) {
		t.Helper()
		f, err := r.upload(ctx, production, "a.pdf", []byte("restricted"))
		if err != nil || f.GetVerdict() != want {
			t.Errorf("%s: got %v %v, want %s", production, f, err, want)
		}
	}
	verdict(open, "restricted-yes", "refused")
	set(true)
	verdict(open, "restricted-yes", "ok")
	verdict(closed, "restricted-no", "refused") // though the other has the same bytes
	set(false)
	verdict(open, "restricted-yes", "refused")
}

func uploadNotInspected(t *testing.T, r *rig) {
	ctx := r.production(t, "not-inspected")
	for i, reason := range []string{"UNKNOWN_METHOD", "INVALID"} {
		r.watermark.answer(func(context.Context, *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
			return nil, fault.New(fault.Invalid, reason, "not so")
		})
		f, err := r.upload(ctx, "not-inspected", "a.pdf", []byte{byte(i)})
		if err != nil || f.GetVerdict() != "unknown" {
			t.Errorf("%s: got %v %v, want unknown", reason, f, err)
		}
	}
}

func uploadInspectedLater(t *testing.T, r *rig) {
	ctx := r.production(t, "asked-again")
	r.watermark.answer(func(_ context.Context, req *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
		r.watermark.answer(nil) // well from now on
		return nil, fault.New(fault.Unavailable, "UNAVAILABLE", "not there")
	})
	f, err := r.upload(ctx, "asked-again", "a.pdf", []byte("again"))
	if err != nil || f.GetVerdict() != "ok" {
		t.Errorf("got %v %v, want ok", f, err)
	}
}

func TestASlowInspectionDoesNotHoldUpTheAnswer(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.InspectWait = 0
	r := start(t, cfg)
	ctx := r.production(t, "slow")
	release := make(chan struct{})
	r.watermark.answer(func(ctx context.Context, _ *watermarkv1.PrepareRequest) (*watermarkv1.PrepareResponse, error) {
		select {
		case <-release:
			return &watermarkv1.PrepareResponse{Pages: 9}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	for range 3 { // also when it is under way already
		f, err := r.upload(ctx, "slow", "a.pdf", []byte("slow"))
		if err != nil || f.GetVerdict() != "unknown" {
			t.Fatalf("got %v %v, want unknown", f, err)
		}
	}
	close(release)
	eventually(t, "the verdict is recorded", func() bool {
		got, err := r.files.GetFile(ctx, &filev1.GetFileRequest{Production: "slow", File: sum([]byte("slow"))})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetFile().GetVerdict() == "ok" && got.GetFile().GetPages() == 9
	})
	if r.watermark.calls != 1 {
		t.Errorf("inspected %d times, want once", r.watermark.calls)
	}
}
