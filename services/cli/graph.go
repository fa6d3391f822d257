package cli

import "context"

type graphCmd struct {
	serverFlags
	productionFlag
	graphFlags
	ID string `arg:"" help:"The distribution."`
}

// graphFlags say in which language a graph is drawn.
type graphFlags struct {
	Dot bool `help:"As DOT, for Graphviz. Default: Mermaid."`
}

func (f graphFlags) format() string {
	if f.Dot {
		return "dot"
	}
	return "mermaid"
}

func (c *graphCmd) Run(ctx context.Context, t *term) error {
	client, err := c.client(coordinator)
	if err != nil {
		return err
	}
	text, err := client.Graph(ctx, c.Production, c.ID, c.format())
	if err != nil {
		return err
	}
	return t.text(text)
}
