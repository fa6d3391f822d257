package email

// WithDefaults lets tests compare the defaults in code with those in the flags' tags.
func (c Config) WithDefaults() Config { return c.withDefaults() }
