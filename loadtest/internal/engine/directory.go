package engine

import (
	"context"

	directoryv1 "github.com/filigreehq/filigree/proto/gen/filigree/directory/v1"
	filev1 "github.com/filigreehq/filigree/proto/gen/filigree/file/v1"
)

// directory is what an orchestrator asks of the directory, for productions and files that are all there.
type directory struct {
	directoryv1.UnimplementedDirectoryServiceServer
	filev1.UnimplementedFileServiceServer
}

func (directory) GetProduction(_ context.Context, r *directoryv1.GetProductionRequest) (*directoryv1.GetProductionResponse, error) {
	return &directoryv1.GetProductionResponse{Production: &directoryv1.Production{Id: r.GetProduction(), Name: "Load"}}, nil
}

func (directory) GetFile(_ context.Context, r *filev1.GetFileRequest) (*filev1.GetFileResponse, error) {
	return &filev1.GetFileResponse{File: &filev1.File{Sha256: r.GetFile(), Name: "script.pdf"}}, nil
}
