package link

import (
	"context"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/worker"
	linkv1 "github.com/filigreehq/filigree/proto/gen/filigree/link/v1"
	"github.com/filigreehq/filigree/services/link/internal/store"
)

// Revoke ends links. Those that lie in Drive are ended there, too, before it returns; if that fails the call does, and
// repeating it goes on where it stopped.
func (s *Server) Revoke(ctx context.Context, req *linkv1.RevokeRequest) (*linkv1.RevokeResponse, error) {
	var ended int32
	var inDrive error // the first failure; the other links are not to wait for it
	done := func(r store.Revoked) {
		if r.Ended {
			ended++
		}
		err := s.revokeInDrive(ctx, req.GetProduction(), r.Hash)
		if inDrive == nil {
			inDrive = err
		}
	}
	if len(req.GetLinks()) > 0 {
		for _, id := range req.GetLinks() {
			r, found, err := s.store.RevokeID(ctx, req.GetProduction(), req.GetDistribution(), id)
			if err != nil {
				return nil, err
			}
			if found {
				done(r)
			}
		}
		return &linkv1.RevokeResponse{Revoked: ended}, inDrive
	}
	err := s.store.RevokeDistribution(ctx, req.GetProduction(), req.GetDistribution())
	if err != nil {
		return nil, err
	}
	for after, more := "", true; more; more = after != "" {
		var page []store.Revoked
		page, after, err = s.store.RevokeMembers(ctx, req.GetProduction(), req.GetDistribution(), after)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			done(r)
		}
	}
	return &linkv1.RevokeResponse{Revoked: ended}, inDrive
}

// driveCheckpoint is the checkpoint's word for "copies are about to be put into Drive".
const driveCheckpoint = "drive"

// putIntoDrive puts a link's copies into Drive, under ids that were recorded first.
func (s *Server) putIntoDrive(ctx context.Context, spec store.Spec, hash, email string) error {
	docs := spec.Content.Documents
	place, err := s.store.Drive(ctx, hash)
	if err != nil {
		return err
	}
	if missing := 1 + len(docs) - len(place.IDs); missing > 0 {
		ids, err := s.drive.IDs(ctx, spec.Production, missing)
		if err != nil {
			return err
		}
		if len(place.IDs) == 0 {
			place, err = s.store.Reserve(ctx, hash, ids, spec.Lifetime)
		} else {
			place.IDs = append(place.IDs, ids...) // the link was made again, with more documents
			err = s.store.SetDrive(ctx, hash, place)
		}
		if err != nil {
			return err
		}
	}
	if len(place.IDs) < 1+len(docs) {
		return fault.New(fault.Unavailable, "LINK_DRIVE_IDS_MISSING", "Google Drive handed out too few ids; it will be tried again")
	}
	folder := DriveFolder{Production: spec.Production, ID: place.IDs[0], Name: folderName(spec.Content), Email: email}
	for i, d := range docs {
		folder.Files = append(folder.Files, DriveFile{
			ID: place.IDs[1+i], Name: d.Name, Key: d.Key, SHA256: d.SHA256, Size: d.Size, MediaType: d.MediaType,
		})
	}
	err = worker.Checkpoint(ctx, driveCheckpoint)
	if err != nil {
		return err
	}
	place.URL, err = s.drive.Put(ctx, folder)
	if err != nil {
		return err
	}
	err = s.store.SetDrive(ctx, hash, place)
	if err != nil {
		return err
	}
	// It may have been revoked while the copies were on their way; then whoever revoked found nothing shared.
	l, err := s.store.FindOne(ctx, hash)
	if err != nil {
		return err
	}
	return l.Err()
}

func (s *Server) revokeInDriveByID(ctx context.Context, production, id string) error {
	claims, err := s.store.Claims(ctx, production, []string{id})
	if err != nil || claims[0].Hash == "" {
		return err
	}
	return s.revokeInDrive(ctx, production, claims[0].Hash)
}

func (s *Server) revokeInDrive(ctx context.Context, production, hash string) error {
	place, err := s.store.Drive(ctx, hash)
	if err != nil || len(place.IDs) == 0 {
		return err
	}
	if s.drive == nil {
		return driveUnavailable()
	}
	return s.drive.Revoke(ctx, production, place.IDs)
}

func driveUnavailable() error {
	return fault.New(fault.Conflict, "LINK_DRIVE_UNAVAILABLE", "this installation has no Google Drive to put copies into; set its credentials up, or send with --mode link")
}
