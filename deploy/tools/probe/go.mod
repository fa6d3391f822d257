// Apart from everything: it is part of the images, which have no curl and no shell. Not in go.work.
module github.com/filigreehq/filigree/deploy/tools/probe

go 1.26.0
