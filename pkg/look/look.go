// Package look holds the design tokens (colours, type, space) of all pages that Filigree shows: the console, shared pages
// and what recipients open. tokens.css is the only file in which a colour or a size is chosen; the console's build reads
// it from here.
package look

import _ "embed"

// Tokens is the style sheet that defines the tokens as CSS custom properties on :root, light and dark.
//
//go:embed tokens.css
var Tokens string
