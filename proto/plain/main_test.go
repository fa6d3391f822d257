package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestTaskSet(t *testing.T) {
	got, err := os.ReadFile("../gen/task.binpb")
	if err != nil {
		t.Fatal(err)
	}
	want, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("gen/task.binpb is not what the contracts say: run `make gen` and commit what it writes")
	}
	set := &descriptorpb.FileDescriptorSet{}
	err = proto.Unmarshal(got, set)
	if err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	_, err = files.FindDescriptorByName("filigree.task.v1.TaskService")
	if err != nil {
		t.Error(err)
	}
	for _, f := range set.GetFile() {
		if strings.Contains(f.String(), "options") || strings.Contains(f.String(), "buf/validate") {
			t.Errorf("%s has options", f.GetName())
		}
	}
}
