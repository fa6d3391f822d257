package cli

import (
	"context"
	"regexp"
	"strings"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"

	"github.com/filigreehq/filigree/services/cli/internal/api"
)

// recipientNumber is "r7", as tables show it, or "7".
var recipientNumber = regexp.MustCompile(`^r?([1-9][0-9]{0,8})$`)

// recipientIDs finds the ids of recipients that people name: by id, by number, or by e-mail address.
func recipientIDs(ctx context.Context, client *api.Client, production, distribution string, names []string) ([]string, error) {
	var list []*distributionv1.Recipient // asked for when the first address comes
	ids := make([]string, len(names))
	for i, name := range names {
		number := recipientNumber.FindStringSubmatch(name)
		switch {
		case strings.HasPrefix(name, distribution+".r"):
			ids[i] = name
		case number != nil:
			ids[i] = distribution + ".r" + number[1]
		case strings.Contains(name, "@"):
			var err error
			if list == nil {
				list, _, err = client.Recipients(ctx, production, distribution)
			}
			if err == nil {
				ids[i], err = byAddress(list, name)
			}
			if err != nil {
				return nil, err
			}
		default:
			return nil, refuse("RECIPIENT_UNKNOWN", "%q names no recipient of %s: give the number as in filigree recipients %s (r7), or the e-mail address",
				name, distribution, distribution)
		}
	}
	return ids, nil
}

// byAddress finds the one recipient with an address, written as it is or else in other capitals.
func byAddress(list []*distributionv1.Recipient, address string) (string, error) {
	var exact, alike []string
	for _, r := range list {
		switch {
		case r.GetEmail() == address:
			exact = append(exact, r.GetId())
		case strings.EqualFold(r.GetEmail(), address):
			alike = append(alike, r.GetId())
		}
	}
	if len(exact) == 0 {
		exact = alike
	}
	switch len(exact) {
	case 0:
		return "", refuse("RECIPIENT_UNKNOWN", "nobody in this distribution has the address %s", address)
	case 1:
		return exact[0], nil
	}
	return "", refuse("RECIPIENT_AMBIGUOUS", "more than one recipient has the address %s: name one of %s", address, strings.Join(exact, ", "))
}
