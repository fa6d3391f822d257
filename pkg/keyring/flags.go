package keyring

// Flags say where a service finds the key ring.
type Flags struct {
	Keys string `name:"keys" env:"FILIGREE_KEYS" required:"" type:"existingfile" placeholder:"FILE" help:"Key ring, readable by its owner only; the same file for all services."`
}

// Open loads the ring.
func (f Flags) Open() (*Ring, error) { return Load(f.Keys) }
