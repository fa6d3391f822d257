package directory

import (
	"errors"
	"fmt"
	"time"
)

// Config is what can be set about directory.
type Config struct {
	MaxFileBytes   int64         `default:"209715200" help:"Largest document that is taken, in bytes (200 MB). A larger one is refused as soon as the limit is passed."`
	UploadIdle     time.Duration `default:"1m" help:"An upload that sends nothing for this long is given up and leaves nothing."`
	InspectWait    time.Duration `default:"2s" help:"How long an upload's answer waits for the inspection; after that it says 'unknown' and the inspection goes on."`
	InspectTimeout time.Duration `default:"1m" help:"How long one inspection of a document may take."`
	Inspections    int           `default:"2" help:"How many documents are inspected at once. More makes a burst of uploads faster and takes more of the watermark service."`

	SignIns `embed:""`
}

// DefaultConfig is what holds if nothing is set: the defaults in Config's tags.
func DefaultConfig() Config {
	return Config{
		MaxFileBytes:   200 << 20,
		UploadIdle:     time.Minute,
		InspectWait:    2 * time.Second,
		InspectTimeout: time.Minute,
		Inspections:    2,
		SignIns:        DefaultSignIns(),
	}
}

// Validate returns all that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.MaxFileBytes < 1 {
		errs = append(errs, fmt.Errorf("max-file-bytes is %d; it must be at least 1", c.MaxFileBytes))
	}
	if c.UploadIdle <= 0 {
		errs = append(errs, fmt.Errorf("upload-idle is %s; it must be more than 0", c.UploadIdle))
	}
	if c.InspectWait < 0 {
		errs = append(errs, fmt.Errorf("inspect-wait is %s; it must not be negative", c.InspectWait))
	}
	if c.InspectTimeout <= 0 {
		errs = append(errs, fmt.Errorf("inspect-timeout is %s; it must be more than 0", c.InspectTimeout))
	}
	if c.Inspections < 1 {
		errs = append(errs, fmt.Errorf("inspections is %d; it must be at least 1", c.Inspections))
	}
	return errors.Join(append(errs, c.SignIns.Validate())...)
}
