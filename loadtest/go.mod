module github.com/filigreehq/filigree/loadtest

go 1.26.0

require (
	github.com/filigreehq/filigree/proto v0.0.0
	github.com/go-pdf/fpdf v0.9.0
	google.golang.org/protobuf v1.36.12
)

replace github.com/filigreehq/filigree/proto => ../proto
