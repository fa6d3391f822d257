package directory_test

import (
	"testing"

	"github.com/alecthomas/kong"

	"github.com/filigreehq/filigree/services/directory"
)

func TestDefaultsAreOnlySaidTwiceInTheSameWay(t *testing.T) {
	var cfg directory.Config
	parser, err := kong.New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg != directory.DefaultConfig() {
		t.Errorf("the tags say %+v, DefaultConfig says %+v", cfg, directory.DefaultConfig())
	}
	err = cfg.Validate()
	if err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
}
