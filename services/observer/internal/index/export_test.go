package index

import "time"

// Narrow has slices of so many docs, and words looked for at once for no longer than hurry.
func (x *Index) Narrow(full int, hurry time.Duration) { x.full, x.hurry = full, hurry }
