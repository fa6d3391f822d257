package deploytest

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/goccy/go-yaml"
)

// A node is a part of a YAML document; what is not there is a node, too.
type node struct{ value any }

func (n node) at(path ...string) node {
	for _, name := range path {
		m, _ := n.value.(map[string]any)
		n = node{m[name]}
	}
	return n
}

func (n node) there() bool { return n.value != nil }

func (n node) text() string {
	s, _ := n.value.(string)
	return s
}

func (n node) number() int {
	switch v := n.value.(type) {
	case uint64:
		return int(v)
	case int64:
		return int(v)
	case int:
		return v
	}
	return 0
}

func (n node) fields() map[string]node {
	m, _ := n.value.(map[string]any)
	fields := map[string]node{}
	for name, value := range m {
		fields[name] = node{value}
	}
	return fields
}

func (n node) list() []node {
	l, _ := n.value.([]any)
	var nodes []node
	for _, value := range l {
		nodes = append(nodes, node{value})
	}
	return nodes
}

func (n node) texts() []string {
	var texts []string
	for _, item := range n.list() {
		texts = append(texts, item.text())
	}
	return texts
}

// named is the item of a list whose name is name.
func (n node) named(name string) node {
	for _, item := range n.list() {
		if item.at("name").text() == name {
			return item
		}
	}
	return node{}
}

// read returns the documents in a file.
func read(t *testing.T, path string) []node {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	decoder := yaml.NewDecoder(f)
	var nodes []node
	for {
		var value any
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			return nodes
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		nodes = append(nodes, node{value})
	}
}
