package link

var (
	Disposition = disposition
	FileName    = fileName
	Clean       = clean
)
