package cli

import (
	"cmp"
	"strings"
	"time"

	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// orderFlags say how documents go out, whether a person, the clock or another system starts it.
type orderFlags struct {
	Mode string `enum:",attachment,link,drive" default:"" placeholder:"MODE" help:"How copies reach people: attachment (default); link, a page of their own to fetch them from; or drive, Google Drive, shared with that person only."`
	Mark string `placeholder:"TEMPLATE" help:"Text of the mark, such as '{name}\\n{email} {date}'; \\n starts a new line."`
	styleFlags
	Password     string        `enum:",none,generate" default:"" placeholder:"HOW" help:"generate: lock each person's copies with a password of their own. Default: none."`
	Title        string        `placeholder:"TEXT" help:"What it is called. Default: the files' names."`
	Subject      string        `placeholder:"TEXT" help:"The mail's subject. Default: the title."`
	Text         string        `placeholder:"TEXT" help:"The mail's text."`
	OnFailure    string        `enum:",send_available,hold" default:"" placeholder:"POLICY" help:"When some of a person's files fail: send_available sends the others (default), hold sends nothing."`
	OnUncertain  string        `enum:",resend,hold" default:"" placeholder:"POLICY" help:"When a mail may or may not have gone out: resend (default), or hold for a person to decide."`
	Tolerate     tolerance     `placeholder:"N|P%" help:"How many items, or what share of them, may fail before the rest is stopped: 3, or 5%. Default: any number."`
	HoldFor      period        `placeholder:"TIME" help:"Undo window, such as 30s or 10m: no mail goes out before it is over, and filigree cancel within it sends nothing."`
	LinkLifetime period        `placeholder:"TIME" help:"How long links work, such as 12h or 14d. Default: 30d."`
	Definition   definitionRef `placeholder:"NAME[@V]" help:"The definition to run. Default: send-documents, in the version that the production's rollout says."`
	Priority     int           `placeholder:"0-9" help:"Within the production, higher goes first. Default: 0."`
}

// check finds what can be told to be wrong without a server.
func (f orderFlags) check() error {
	if f.LinkLifetime > 0 && (f.Mode == "" || f.Mode == "attachment") {
		return refuse("USAGE", "--link-lifetime is for links, and --mode %s has none: add --mode link, or leave it out", "attachment")
	}
	if f.Priority < 0 || f.Priority > 9 {
		return refuse("USAGE", "--priority is %d: it goes from 0 to 9, and higher goes first", f.Priority)
	}
	_, err := f.style()
	return err
}

// ownMark reports whether the mark is another than the one with which a file is inspected.
func (f orderFlags) ownMark() bool {
	return f.Mark != "" || f.styleFlags != styleFlags{}
}

func (f orderFlags) request(production string, files []*distributionv1.FileRef, to whom) *distributionv1.CreateDistributionRequest {
	req := &distributionv1.CreateDistributionRequest{
		Production: production, Title: f.Title, Mode: f.Mode, Files: files,
		Mark: template(f.Mark), MarkStyle: f.message(), Password: f.Password,
		Definition: f.Definition.name, DefinitionVersion: f.Definition.version, Priority: int32(f.Priority), Lists: to.lists,
	}
	if len(to.lists) == 0 { // whose policies would say it
		req.Mode, req.Password = cmp.Or(f.Mode, "attachment"), cmp.Or(f.Password, "none")
	}
	for _, p := range to.people {
		req.Recipients = append(req.Recipients, &distributionv1.RecipientInput{Name: p.Name, Email: p.Email, Fields: p.Fields})
	}
	if f.Subject != "" || f.Text != "" {
		req.Message = &distributionv1.Message{Subject: f.Subject, Text: f.Text}
	}
	if f.OnFailure != "" || f.OnUncertain != "" || f.Tolerate.set {
		req.Policy = &distributionv1.Policy{OnFailure: f.OnFailure, OnUncertain: f.OnUncertain, Tolerate: f.Tolerate.message()}
	}
	if f.HoldFor > 0 {
		req.HoldFor = durationpb.New(time.Duration(f.HoldFor))
	}
	if f.LinkLifetime > 0 {
		req.LinkLifetime = durationpb.New(time.Duration(f.LinkLifetime))
	}
	return req
}

// template is a mark's text as it was typed, where \n starts a new line.
func template(typed string) string { return strings.ReplaceAll(typed, `\n`, "\n") }
