package link

import (
	"mime"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/filigreehq/filigree/services/link/internal/store"
)

// clean makes a name one readable line: without what steers terminals, turns the direction of writing around, or is no
// text at all.
func clean(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.IsSpace(r), unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		}
		return r
	}, name)
	return strings.Join(strings.Fields(name), " ")
}

// fileName is name as something that can be saved: without folders, and never empty or hidden.
func fileName(name string) string {
	name = strings.NewReplacer("/", "-", `\`, "-").Replace(clean(name))
	name = strings.TrimLeft(name, ". ")
	if name == "" {
		return "document"
	}
	return name
}

// mediaType is a type that bytes can be served as; what is none becomes bytes without a meaning.
func mediaType(s string) string {
	t, _, err := mime.ParseMediaType(s)
	if err != nil || !strings.Contains(t, "/") {
		return "application/octet-stream"
	}
	return t
}

// folderName is what a link's folder in Drive is called.
func folderName(c store.Content) string {
	for _, name := range []string{c.Title, c.Sender} {
		if name != "" {
			return fileName(name)
		}
	}
	first := c.Documents[0].Name
	return strings.TrimSuffix(first, path.Ext(first))
}

// disposition is the Content-Disposition of a file called name: RFC 6266 with the name in RFC 8187's form, and a plain
// one for who does not read that.
func disposition(kind, name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' || r == '%' {
			return '_'
		}
		return r
	}, name)
	d := kind + `; filename="` + plain + `"`
	if plain != name {
		d += "; filename*=UTF-8''" + percent(name)
	}
	return d
}

// percent escapes everything but RFC 8187's attr-char.
func percent(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
