package orchestrator

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/filigreehq/filigree/pkg/fault"
	"github.com/filigreehq/filigree/pkg/rpc"
	"github.com/filigreehq/filigree/pkg/worker"
	accessv1 "github.com/filigreehq/filigree/proto/gen/filigree/access/v1"
	distributionv1 "github.com/filigreehq/filigree/proto/gen/filigree/distribution/v1"
	taskv1 "github.com/filigreehq/filigree/proto/gen/filigree/task/v1"
	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
	"github.com/filigreehq/filigree/services/orchestrator/internal/store"
)

// Steps that start another distribution call this function. Orchestrators serve it themselves, by the same protocol as
// every worker: the child is created by a key that a repeat finds again, and asked for until it has ended. Its end has it
// asked for at once.
const startFunction = "distribution.Start"

// askChild is how often a child is asked for whose end was not heard of.
const askChild = time.Minute

type parentCtx struct{}

// parentFrom is the step that a distribution is created by; nil when a person does it.
func parentFrom(ctx context.Context) *store.Ref {
	p, ok := ctx.Value(parentCtx{}).(store.Ref)
	if !ok {
		return nil
	}
	return &p
}

// starts serves startFunction until ctx ends.
func (s *Server) starts(ctx context.Context) {
	name, err := os.Hostname()
	if err != nil {
		name = "orchestrator"
	}
	name = name[:min(len(name), 24)] + "/" + strconv.Itoa(os.Getpid()) + "/start-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	ctx = rpc.Serving(ctx, &accessv1.Principal{Subject: "orchestrator", Role: accessv1.Role_ROLE_SERVICE, Productions: []string{"*"}})
	w := worker.New(worker.Config{Name: name, Slots: 16}, local{s}, s.deps.Log, worker.Func(startFunction, s.start))
	err = w.Run(ctx)
	if err != nil {
		s.deps.Log.ErrorContext(ctx, "distributions are not started by others any more", "err", err)
	}
}

// start creates the distribution that a step asks for, or looks whether it has ended.
func (s *Server) start(ctx context.Context, req *distributionv1.CreateDistributionRequest) (*distributionv1.CreateDistributionResponse, error) {
	task, ok := worker.TaskFrom(ctx)
	if !ok {
		return nil, fault.New(fault.Invalid, "TASK_MISSING", "only a step can start a distribution by this function; create one instead")
	}
	parent, err := store.ParseRef(task.ID)
	if err != nil {
		return nil, err
	}
	child := task.Checkpoint
	if child == "" {
		hash, err := hashOf(req)
		if err != nil {
			return nil, err
		}
		key, err := s.childKey(ctx, req.GetProduction(), parent)
		if err != nil {
			return nil, err
		}
		d, err := s.create(context.WithValue(ctx, parentCtx{}, parent), req, key, hash)
		if err != nil {
			return nil, err
		}
		return nil, worker.Pending(askChild, d.GetId())
	}
	sum, err := s.store.Get(ctx, req.GetProduction(), child)
	if err != nil {
		return nil, unavailable(err)
	}
	if !sum.State.Final() {
		return nil, worker.Pending(askChild, child)
	}
	if sum.State == plan.AllFailed || sum.State == plan.Stopped {
		return nil, fault.New(fault.Conflict, "CHILD_FAILED", "distribution %s, which this step started, ended %s; see there why", child, sum.State)
	}
	ended := &distributionv1.Distribution{Id: child, Production: sum.Production, State: string(sum.State),
		Items: &distributionv1.ItemCounts{Total: int32(sum.Size.Items())}}
	itemCounts(ended.Items, sum.Items)
	return &distributionv1.CreateDistributionResponse{Distribution: ended}, nil
}

// childKey is what a step's child is created by: the same however often the step is attempted, and another one each time
// somebody asks for it again, since what failed is not to be found again. What it started before stays among the children.
func (s *Server) childKey(ctx context.Context, production string, parent store.Ref) (string, error) {
	records, err := s.store.Units(ctx, production, parent.Distribution, []plan.Unit{parent.Unit})
	if err != nil {
		return "", unavailable(err)
	}
	key := "start/" + parent.Distribution + "/" + parent.Unit.String() + "/" + parent.Step
	revision := records[0].Steps[parent.Step].Revision
	if revision > 0 {
		key += "/" + strconv.Itoa(revision)
	}
	return key, nil
}

// startRequest completes a step's request to start a distribution: what it leaves out is as in its own distribution.
func (s *Server) startRequest(ctx context.Context, d *distribution, u plan.Unit, request string) (string, error) {
	var fields map[string]json.RawMessage
	err := json.Unmarshal([]byte(request), &fields)
	if err != nil {
		return "", err
	}
	own := &distributionv1.CreateDistributionRequest{}
	if fields["files"] == nil {
		for i, f := range d.spec.Files {
			if u.File == 0 || u.File == i+1 {
				own.Files = append(own.Files, &distributionv1.FileRef{Sha256: f.SHA256, Name: f.Name})
			}
		}
	}
	if fields["recipients"] == nil {
		numbers := []int{u.Recipient}
		if u.Recipient == 0 {
			numbers = (&choice{}).slice(d.size.Recipients, 0, d.size.Recipients)
		}
		people, err := s.store.Recipients(ctx, d.production, d.id, numbers)
		if err != nil {
			return "", err
		}
		for _, p := range people {
			own.Recipients = append(own.Recipients, &distributionv1.RecipientInput{Name: p.Name, Email: p.Email, Fields: p.Fields})
		}
	}
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(own)
	if err != nil {
		return "", err
	}
	var inherited map[string]json.RawMessage
	err = json.Unmarshal(raw, &inherited)
	if err != nil {
		return "", err
	}
	for name, value := range inherited {
		fields[name] = value
	}
	fields["production"], err = json.Marshal(d.production)
	if err != nil {
		return "", err
	}
	out, err := json.Marshal(fields)
	return string(out), err
}

// local is the task service of the orchestrator itself, for its own worker.
type local struct{ s *Server }

func (l local) Pull(ctx context.Context, in *taskv1.PullRequest, _ ...grpc.CallOption) (*taskv1.PullResponse, error) {
	return l.s.Pull(ctx, in)
}

func (l local) Report(ctx context.Context, in *taskv1.ReportRequest, _ ...grpc.CallOption) (*taskv1.ReportResponse, error) {
	return l.s.Report(ctx, in)
}

func (l local) Checkpoint(ctx context.Context, in *taskv1.CheckpointRequest, _ ...grpc.CallOption) (*taskv1.CheckpointResponse, error) {
	return l.s.Checkpoint(ctx, in)
}

func (l local) Renew(ctx context.Context, in *taskv1.RenewRequest, _ ...grpc.CallOption) (*taskv1.RenewResponse, error) {
	return l.s.Renew(ctx, in)
}

func (l local) Occupy(ctx context.Context, in *taskv1.OccupyRequest, _ ...grpc.CallOption) (*taskv1.OccupyResponse, error) {
	return l.s.Occupy(ctx, in)
}

func (l local) Vacate(ctx context.Context, in *taskv1.VacateRequest, _ ...grpc.CallOption) (*taskv1.VacateResponse, error) {
	return l.s.Vacate(ctx, in)
}
