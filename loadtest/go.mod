module github.com/filigreehq/filigree/loadtest

go 1.26.0
