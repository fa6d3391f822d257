package typeface

import (
	_ "embed"

	"github.com/go-text/typesetting/language"
)

//go:embed noto/regions.bin
var regions string

// The bits of regions are for the characters from first on.
const (
	first = 0x4e00
	count = 0xa000 - first
)

var (
	simplified  = language.NewLanguage("zh-hans")
	traditional = language.NewLanguage("zh-hant")
	japanese    = language.NewLanguage("ja")
	korean      = language.NewLanguage("ko")
	other       = language.NewLanguage("en")
)

// Language guesses in which language's forms the Han characters of lines are to be drawn, from the company they are in:
// kana and Hangul tell, and so do characters that only one region's standard has.
func Language(lines []string) language.Language {
	lang := other
	for _, line := range lines {
		for _, r := range line {
			found := tells(r)
			switch {
			case found == japanese || found == korean:
				return found
			case found == traditional || found == simplified && lang == other:
				lang = found
			}
		}
	}
	return lang
}

// tells is the language that r tells of.
func tells(r rune) language.Language {
	switch {
	case r >= 0x3041 && r <= 0x30ff:
		return japanese
	case r >= 0xac00 && r <= 0xd7a3:
		return korean
	case r < first || r >= first+count:
		return other
	case bit(0, r):
		return japanese
	case bit(count/8, r):
		return traditional
	}
	return simplified
}

func bit(from int, r rune) bool { return regions[from+int(r-first)/8]&(1<<(r%8)) != 0 }
