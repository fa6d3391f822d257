// Plain writes gen/task.binpb: the contract between orchestrators and workers as a FileDescriptorSet that needs nothing
// else. Rules of validation and of access, and the files that define them, are left out: a worker in another language
// has no use for them, and its protoc no copy. protoc and all of gRPC's languages read it (protoc --descriptor_set_in).
package main

import (
	"log"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
)

func main() {
	raw, err := plain()
	if err == nil {
		err = os.WriteFile(filepath.Join("gen", "task.binpb"), raw, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// plain is the set, each file after those that it needs.
func plain() ([]byte, error) {
	set := &descriptorpb.FileDescriptorSet{}
	have := map[string]bool{}
	for _, file := range []protoreflect.FileDescriptor{
		durationpb.File_google_protobuf_duration_proto, timestamppb.File_google_protobuf_timestamp_proto,
		accessv1.File_filigree_access_v1_access_proto, taskv1.File_filigree_task_v1_task_proto,
	} {
		f := protodesc.ToFileDescriptorProto(file)
		var needs []string
		for _, d := range f.GetDependency() {
			if have[d] {
				needs = append(needs, d)
			}
		}
		f.Dependency, f.PublicDependency, f.WeakDependency, f.Extension, f.Options = needs, nil, nil, nil, nil
		strip(f.ProtoReflect())
		have[f.GetName()] = true
		set.File = append(set.File, f)
	}
	_, err := protodesc.NewFiles(set) // nothing is missing
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}

// strip takes the options away from all that m contains. None of them changes what is on the wire: our contracts have no
// maps and leave packing to its default.
func strip(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Name() == "options":
			m.Clear(f)
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				strip(v.List().Get(i).Message())
			}
		}
		return true
	})
}
