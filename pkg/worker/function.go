package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/filigreehq/filigree/pkg/fault"
)

// Function is a handler under the name that definitions call it by: "watermark.Stamp", or "watermark.Stamp@2" for a
// version that is another function to them.
type Function struct {
	name string
	call func(ctx context.Context, requestJSON string) (outputJSON string, err error)
}

// Func makes handler a function named name. Its request is read and validated as its proto says; fields that the proto
// does not know are dropped, so that an orchestrator may run ahead of its workers.
func Func[Req, Resp any, PReq interface {
	*Req
	proto.Message
}, PResp interface {
	*Resp
	proto.Message
}](name string, handler func(context.Context, PReq) (PResp, error)) Function {
	// An empty request is either valid or not, and an empty message has one form: neither is worked out twice.
	validEmpty := sync.OnceValue(func() error { return protovalidate.Validate(PReq(new(Req))) })
	emptyOutput := PResp(new(Resp)).ProtoReflect().Descriptor().Fields().Len() == 0
	return Function{name: name, call: func(ctx context.Context, requestJSON string) (string, error) {
		req := PReq(new(Req))
		var err error
		if requestJSON == "{}" {
			err = validEmpty()
		} else {
			err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal([]byte(requestJSON), req)
			if err != nil {
				return "", fault.New(fault.Invalid, "TASK_INVALID", "the definition made a request that %s cannot read: %v", name, err)
			}
			err = protovalidate.Validate(req)
		}
		if err != nil {
			return "", fault.New(fault.Invalid, "TASK_INVALID", "the definition made a request that %s refuses: %v", name, err)
		}
		resp, err := handler(ctx, req)
		if err != nil {
			return "", err
		}
		if emptyOutput {
			return "{}", nil
		}
		out, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(resp)
		return string(out), err
	}}
}

// JSON is Func for who has no protos: request and response are what encoding/json makes of a step's `with` and of its
// output. Fields that Req does not know are dropped; Resp must become a JSON object.
func JSON[Req, Resp any](name string, handler func(context.Context, Req) (Resp, error)) Function {
	return Function{name: name, call: func(ctx context.Context, requestJSON string) (string, error) {
		var req Req
		err := json.Unmarshal([]byte(requestJSON), &req)
		if err != nil {
			return "", fault.New(fault.Invalid, "TASK_INVALID", "the definition made a request that %s cannot read: %v", name, err)
		}
		resp, err := handler(ctx, req)
		if err != nil {
			return "", err
		}
		out, err := json.Marshal(resp)
		if err == nil && !bytes.HasPrefix(out, []byte("{")) {
			return "", fault.New(fault.Invalid, "OUTPUT_INVALID", "%s answered with %.20q, which is no JSON object", name, out)
		}
		return string(out), err
	}}
}
