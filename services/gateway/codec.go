package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// codec is the JSON of the API: field names as in the protos, every field there, nothing unknown accepted.
type codec struct {
	*runtime.JSONPb
}

func newCodec() codec {
	return codec{&runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}}}
}

// NewDecoder reads one message from the whole of r; what follows the message is an error, too.
func (c codec) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		m, ok := v.(proto.Message)
		if !ok {
			return c.JSONPb.NewDecoder(r).Decode(v)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(data)) == 0 {
			return io.EOF // how the generated code knows an empty body
		}
		err = c.UnmarshalOptions.Unmarshal(data, m)
		if err != nil {
			return errors.New(explain(err))
		}
		return nil
	})
}

// where finds the position in an error of protojson, whose words are put together differently from build to build.
var where = regexp.MustCompile(`^proto:\s*(syntax error\s*)?\(line (\d+):(\d+)\):\s*(.*)$`)

// explain makes a sentence of an error of protojson.
func explain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	m := where.FindStringSubmatch(text)
	if m == nil {
		if strings.Contains(text, io.ErrUnexpectedEOF.Error()) {
			return "the body is not JSON: it ends in the middle"
		}
		return "the JSON body is not what this call takes: " + clip(strings.TrimSpace(strings.TrimPrefix(text, "proto:")))
	}
	what := "is not what this call takes"
	if m[1] != "" {
		what = "is not JSON"
	}
	return fmt.Sprintf("the body %s: line %s, column %s: %s", what, m[2], m[3], clip(m[4]))
}
