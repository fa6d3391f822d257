package message

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
)

//go:embed letter.txt.tmpl letter.html.tmpl
var files embed.FS

var (
	textLetter = texttemplate.Must(texttemplate.ParseFS(files, "letter.txt.tmpl"))
	htmlLetter = htmltemplate.Must(htmltemplate.ParseFS(files, "letter.html.tmpl"))
)

// words are what both letters say; the templates only lay it out.
type words struct {
	Subject    string
	Greeting   string
	Opening    string
	Paragraphs [][]string // the coordinator's: paragraphs of lines
	Documents  []listed
	Link       string
	Button     string
	Missing    []string
	Locked     string
	Private    string
	Closing    string
}

type listed struct {
	Name, Size string
}

func newWords(l Letter, names []string) words {
	sender := Line(l.Production, maxName)
	if sender == "" {
		sender = l.From.Name()
	}
	if sender == "" {
		sender = l.From.Mailbox()
	}
	w := words{Greeting: "Hello,", Opening: opening(sender, l, len(l.Documents)+len(l.Linked))}
	if l.To.Name() != "" {
		w.Greeting = "Hello " + l.To.Name() + ","
	}
	if text := Text(l.Text); text != "" {
		for paragraph := range strings.SplitSeq(text, "\n\n") {
			paragraph = strings.Trim(paragraph, "\n")
			if paragraph != "" {
				w.Paragraphs = append(w.Paragraphs, strings.Split(paragraph, "\n"))
			}
		}
	}
	for i, d := range l.Documents {
		w.Documents = append(w.Documents, listed{Name: names[i], Size: bytesFor(d.Size)})
	}
	for _, name := range l.Missing {
		w.Missing = append(w.Missing, FileName(name))
	}
	for _, name := range l.Linked {
		w.Documents = append(w.Documents, listed{Name: FileName(name)})
	}
	n := len(w.Documents)
	if l.Link != "" {
		w.Link, w.Button = l.Link, "Open my "+pick(n, "document", "documents")
	}
	if n > 0 {
		if l.Locked {
			w.Locked = "Opening " + pick(n, "it", "them") + " takes a password. It is not in this e-mail: " +
				"the production office gives it to you separately."
		}
		w.Private = pick(n, "This copy was", "These copies were") + " made for you alone and " +
			pick(n, "is", "are") + " marked as yours. Please keep " + pick(n, "it", "them") +
			" confidential and do not pass " + pick(n, "it", "them") + " on. " +
			"If this e-mail was not meant for you, please tell us and delete it."
	}
	if l.Link != "" {
		w.Private = "The link is yours alone. " + w.Private
	}
	answers := l.From
	if l.ReplyTo != nil {
		answers = *l.ReplyTo
	}
	w.Closing = "Sent for " + sender + " by Filigree. Answers to this e-mail go to " + answers.Mailbox() + "."
	return w
}

func opening(sender string, l Letter, documents int) string {
	missing := len(l.Missing)
	switch {
	case documents == 0 && missing == 0:
		return sender + " has a message for you."
	case documents == 0:
		return sender + " meant to send you " + quantity(missing) + ", but " + pick(missing, "it", "they") + " could not be prepared."
	}
	if l.Link != "" {
		return sender + " has sent you " + quantity(documents) + ". Your own " + pick(documents, "copy is", "copies are") + " behind this link."
	}
	return sender + " has sent you " + quantity(documents) + ". You will find " + pick(documents, "it", "them") + " attached to this e-mail."
}

func quantity(n int) string {
	if n == 1 {
		return "a document"
	}
	return fmt.Sprintf("%d documents", n)
}

func pick(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// bytesFor says a size as mail readers do: 812 bytes, 80 KB, 1.2 MB.
func bytesFor(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 999_500:
		return fmt.Sprintf("%d KB", (n+500)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

func (w words) text() (string, error) {
	var b strings.Builder
	err := textLetter.Execute(&b, w)
	return b.String(), err
}

func (w words) html(subject string) (string, error) {
	w.Subject = subject
	var b strings.Builder
	err := htmlLetter.Execute(&b, w)
	return b.String(), err
}
