package link

import "context"

var (
	Disposition = disposition
	FileName    = fileName
	Clean       = clean
	Shown       = shown
	MediaType   = mediaType
)

// TellAudit tells the audit all that waits.
func (s *Server) TellAudit(ended context.Context) { _ = s.audit.Run(ended) }
