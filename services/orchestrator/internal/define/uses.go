package define

// Uses says which things that must be read first a step's expressions look at.
type Uses struct {
	// Recipient, with what is made of one: an item's fields. What an expression that is nothing but an id looks at is known
	// without.
	Recipient bool
	// Items of the recipient, Steps of the unit itself.
	Items, Steps bool
	// Mark of the recipient, who may have one of their own.
	Mark bool
}

// Uses tells it of step.
func (d *Definition) Uses(step string) Uses {
	var out Uses
	look := func(c compiled) {
		u := c.uses
		for name := range u.variables {
			out.Recipient = out.Recipient || (name == "recipient" || name == "item") && c.path != name+".id"
			out.Items = out.Items || name == "items"
			out.Steps = out.Steps || name == "steps"
		}
		out.Mark = out.Mark || u.mark
	}
	for _, f := range d.requests[step] {
		look(f.compiled)
	}
	look(d.when[step])
	return out
}
