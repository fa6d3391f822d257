package define

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/ext"

	"github.com/filigreehq/filigree/services/orchestrator/internal/plan"
)

// What the expressions of a step may look at, by its scope.
var visible = map[plan.Scope][]string{
	plan.ScopeDistribution: {"distribution", "production", "steps"},
	plan.ScopeFile:         {"distribution", "production", "file", "steps"},
	plan.ScopeRecipient:    {"distribution", "production", "recipient", "items", "steps"},
	plan.ScopeItem:         {"distribution", "production", "file", "recipient", "item", "steps"},
}

// outputs are the variables that tell what steps gave: they are not known when a distribution is laid out.
var outputs = []string{"items", "steps"}

// belongs is whose steps `steps` has, by scope.
var belongs = map[plan.Scope][]plan.Scope{
	plan.ScopeDistribution: {plan.ScopeDistribution},
	plan.ScopeFile:         {plan.ScopeFile},
	plan.ScopeRecipient:    {plan.ScopeRecipient},
	plan.ScopeItem:         {plan.ScopeItem, plan.ScopeFile},
}

// Costs that no expression in earnest comes near; a request is made of at most 100 items.
const (
	requestCost   = 10_000_000
	conditionCost = 1_000_000
)

func environment() (*cel.Env, error) {
	env, err := cel.NewEnv(
		cel.Variable("distribution", cel.DynType),
		cel.Variable("production", cel.DynType),
		cel.Variable("file", cel.DynType),
		cel.Variable("recipient", cel.DynType),
		cel.Variable("item", cel.DynType),
		cel.Variable("items", cel.ListType(cel.DynType)),
		cel.Variable("steps", cel.DynType),
		ext.Strings(),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare expressions: %w", err)
	}
	return env, nil
}

// compiler makes programs of expressions and collects what is wrong with them.
type compiler struct {
	*problems
	env *cel.Env
	d   *Definition
}

// before lists the steps that have surely ended when step begins: its needs, what those need, and so on, but nothing that
// is waited for only through a step that may be left out.
func (c *compiler) before(step *plan.Step) map[string]bool {
	all := map[string]bool{}
	var add func(*plan.Step)
	add = func(s *plan.Step) {
		for _, n := range s.Needs {
			need, ok := c.d.Step(n)
			if !ok || all[n] {
				continue
			}
			all[n] = true
			if !c.d.planned(need) {
				add(need)
			}
		}
	}
	add(step)
	return all
}

// compiled is a program, and what it looks at.
type compiled struct {
	prog cel.Program
	uses uses
	path string // "recipient.name" of an expression that is nothing but that; else empty
}

// compile makes a program of an expression of step, which gives a value of type want (nil: anything). It returns nil
// when something is wrong.
func (c *compiler) compile(step *plan.Step, label string, e expression, want *cel.Type, cost uint64) *compiled {
	tree, issues := c.env.Compile(e.text)
	if issues.Err() != nil {
		for _, is := range issues.Errors() {
			at := offset(e.text, is.Location.Line(), is.Location.Column())
			c.add(e.lineOf(at), label, e.field, "%s", c.plain(step.Scope, is.Message, e.text, at))
		}
		return nil
	}
	if t := tree.OutputType(); want != nil && !t.IsExactType(want) && !t.IsExactType(cel.DynType) {
		c.add(e.line, label, e.field, "it gives %s, not %s", typeWord(t), typeWord(want))
		return nil
	}
	used := look(tree.NativeRep())
	sound := c.checkUses(step, label, e, used)
	prog, err := c.env.Program(tree, cel.CostLimit(cost))
	if err != nil {
		c.add(e.line, label, e.field, "%v", err)
		return nil
	}
	if !sound {
		return nil
	}
	return &compiled{prog, used, pathOf(tree.NativeRep().Expr())}
}

// pathOf is the text of an expression that names a field of a variable and no more.
func pathOf(e ast.Expr) string {
	if e.Kind() != ast.SelectKind {
		return ""
	}
	s := e.AsSelect()
	if s.IsTestOnly() || s.Operand().Kind() != ast.IdentKind {
		return ""
	}
	return strings.TrimPrefix(s.Operand().AsIdent(), ".") + "." + s.FieldName()
}

// checkUses adds what an expression looks at and cannot see.
func (c *compiler) checkUses(step *plan.Step, label string, e expression, used uses) bool {
	sees, known := visible[step.Scope]
	if !known {
		return true // told with the scope
	}
	sound := true
	wrong := func(at int, format string, args ...any) {
		sound = false
		c.add(e.lineOf(at), label, e.field, format, args...)
	}
	for _, name := range slices.Sorted(maps.Keys(used.variables)) {
		if !slices.Contains(sees, name) {
			wrong(used.variables[name], "a step for each %s has no %q; it may look at %s", step.Scope, name, list(sees))
		}
	}
	before := c.before(step)
	for _, name := range slices.Sorted(maps.Keys(used.steps)) {
		at := used.steps[name]
		other, ok := c.d.Step(name)
		switch {
		case !ok:
			wrong(at, "there is no step %q%s", name, instead(name, slices.Sorted(maps.Keys(before))))
		case !before[name]:
			wrong(at, "steps.%s may not have ended yet; add %q to needs", name, name)
		case slices.Contains(belongs[step.Scope], other.Scope):
		case step.Scope == plan.ScopeRecipient && other.Scope == plan.ScopeItem:
			wrong(at, "step %q is one of each item; look at it as items.all(i, i.steps.%s.state == \"done\")", name, name)
		default:
			wrong(at, "step %q is one of each %s, and there are many for one %s", name, other.Scope, step.Scope)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(used.itemSteps)) {
		at := used.itemSteps[name]
		other, ok := c.d.Step(name)
		switch {
		case !ok || other.Scope != plan.ScopeItem:
			var items []string
			for n := range before {
				s, _ := c.d.Step(n)
				if s.Scope == plan.ScopeItem {
					items = append(items, n)
				}
			}
			slices.Sort(items)
			wrong(at, "items have no step %q%s", name, instead(name, items))
		case !before[name]:
			wrong(at, "step %q of the items may not have ended yet; add it to needs", name)
		}
	}
	return sound
}

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)' \(in container ''\)$`)
	expecting  = regexp.MustCompile(`,? expecting .*$`)
)

// plain says what CEL found in words that need no CEL.
func (c *compiler) plain(scope plan.Scope, message, text string, at int) string {
	m := undeclared.FindStringSubmatch(message)
	if m != nil {
		return fmt.Sprintf("%q is nothing that expressions know%s", m[1], instead(m[1], visible[scope]))
	}
	syntax, ok := strings.CutPrefix(message, "Syntax error: ")
	if ok {
		return fmt.Sprintf("this cannot be read at %s: %s", near(text, at), expecting.ReplaceAllString(syntax, ""))
	}
	return fmt.Sprintf("at %s: %s", near(text, at), message)
}

// near quotes what stands at a place of an expression.
func near(text string, at int) string {
	const most = 24
	line, _, _ := strings.Cut(strings.TrimLeft(string([]rune(text)[at:]), " \t\n"), "\n")
	rest := []rune(line)
	switch {
	case len(rest) == 0:
		return "its end"
	case len(rest) > most:
		return strconv.Quote(string(rest[:most])) + "…"
	}
	return strconv.Quote(line)
}

// offset is the place in text, counted in letters, of a line and column as CEL counts them: from 1 and from 0.
func offset(text string, line, column int) int {
	letters := []rune(text)
	at := 0
	for ; line > 1 && at < len(letters); at++ {
		if letters[at] == '\n' {
			line--
		}
	}
	return min(max(at+column, 0), len(letters))
}

func typeWord(t *cel.Type) string {
	switch {
	case t.IsExactType(cel.BoolType):
		return "true or false"
	case t.IsExactType(cel.StringType):
		return "a text"
	case t.IsExactType(cel.IntType), t.IsExactType(cel.UintType), t.IsExactType(cel.DoubleType):
		return "a number"
	}
	return t.String()
}

// uses is what an expression looks at, each with the place where it does so first.
type uses struct {
	variables map[string]int
	steps     map[string]int // of `steps`
	itemSteps map[string]int // of the elements of `items`
	mark      bool           // the mark, or `distribution` as a whole
}

// only reports whether it looks at nothing but these.
func (u uses) only(names ...string) bool {
	for name := range u.variables {
		if !slices.Contains(names, name) {
			return false
		}
	}
	return true
}

// look finds out what an expression looks at. Variables of its own, as in items.map(i, …), are none of ours, whatever
// their names.
func look(tree *ast.AST) uses {
	l := looker{tree: tree, uses: uses{variables: map[string]int{}, steps: map[string]int{}, itemSteps: map[string]int{}}}
	l.visit(tree.Expr(), map[string]bool{})
	return l.uses
}

type looker struct {
	uses
	tree *ast.AST
}

func note(m map[string]int, name string, at int) {
	_, known := m[name]
	if !known {
		m[name] = at
	}
}

// at is where an expression stands, counted in letters.
func (l *looker) at(e ast.Expr) int {
	r, ok := l.tree.SourceInfo().GetOffsetRange(e.ID())
	if !ok {
		return 0
	}
	return int(r.Start)
}

// visit walks through e; own are the variables that are its own here, true for one that is an element of `items`.
func (l *looker) visit(e ast.Expr, own map[string]bool) {
	switch e.Kind() {
	case ast.IdentKind:
		name := strings.TrimPrefix(e.AsIdent(), ".")
		_, hidden := own[name]
		if !hidden {
			note(l.variables, name, l.at(e))
			l.mark = l.mark || name == "distribution"
		}
	case ast.SelectKind:
		s := e.AsSelect()
		if l.isDistribution(s.Operand(), own) {
			note(l.variables, "distribution", l.at(s.Operand()))
			l.mark = l.mark || s.FieldName() == "mark" || s.FieldName() == "mark_style"
			return
		}
		l.stepOf(s.Operand(), s.FieldName(), e, own)
		l.visit(s.Operand(), own)
	case ast.CallKind:
		call := e.AsCall()
		args := call.Args()
		if call.FunctionName() == operators.Index && len(args) == 2 && args[1].Kind() == ast.LiteralKind {
			name, text := args[1].AsLiteral().Value().(string)
			if text {
				l.stepOf(args[0], name, e, own)
			}
		}
		if call.IsMemberFunction() {
			l.visit(call.Target(), own)
		}
		for _, a := range args {
			l.visit(a, own)
		}
	case ast.ListKind:
		for _, el := range e.AsList().Elements() {
			l.visit(el, own)
		}
	case ast.MapKind:
		for _, en := range e.AsMap().Entries() {
			l.visit(en.AsMapEntry().Key(), own)
			l.visit(en.AsMapEntry().Value(), own)
		}
	case ast.StructKind:
		for _, f := range e.AsStruct().Fields() {
			l.visit(f.AsStructField().Value(), own)
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		l.visit(c.IterRange(), own)
		l.visit(c.AccuInit(), own)
		inner := maps.Clone(own)
		inner[c.IterVar()] = l.isItems(c.IterRange(), own)
		if c.HasIterVar2() {
			inner[c.IterVar()] = false
			inner[c.IterVar2()] = l.isItems(c.IterRange(), own)
		}
		inner[c.AccuVar()] = false
		l.visit(c.LoopCondition(), inner)
		l.visit(c.LoopStep(), inner)
		l.visit(c.Result(), inner)
	}
}

// stepOf notes the step that name means, if operand has steps: `steps`, or i.steps of an item.
func (l *looker) stepOf(operand ast.Expr, name string, at ast.Expr, own map[string]bool) {
	switch operand.Kind() {
	case ast.IdentKind:
		_, hidden := own[operand.AsIdent()]
		if operand.AsIdent() == "steps" && !hidden {
			note(l.steps, name, l.at(operand))
		}
	case ast.SelectKind:
		s := operand.AsSelect()
		if s.FieldName() == "steps" && l.isItem(s.Operand(), own) {
			note(l.itemSteps, name, l.at(s.Operand()))
		}
	}
}

func (l *looker) isDistribution(e ast.Expr, own map[string]bool) bool {
	if e.Kind() != ast.IdentKind {
		return false
	}
	_, hidden := own["distribution"]
	return e.AsIdent() == "distribution" && !hidden
}

// isItem reports whether e is surely an element of `items`.
func (l *looker) isItem(e ast.Expr, own map[string]bool) bool {
	switch e.Kind() {
	case ast.IdentKind:
		return own[e.AsIdent()]
	case ast.CallKind: // items[0]
		call := e.AsCall()
		return call.FunctionName() == operators.Index && l.isItems(call.Args()[0], own)
	}
	return false
}

// isItems reports whether e is surely `items`, or some of them.
func (l *looker) isItems(e ast.Expr, own map[string]bool) bool {
	switch e.Kind() {
	case ast.IdentKind:
		_, hidden := own[e.AsIdent()]
		return e.AsIdent() == "items" && !hidden
	case ast.ComprehensionKind: // items.filter(i, …)
		c := e.AsComprehension()
		step := c.LoopStep()
		if step.Kind() != ast.CallKind || step.AsCall().FunctionName() != operators.Conditional || c.Result().Kind() != ast.IdentKind {
			return false
		}
		added := step.AsCall().Args()[1]
		if added.Kind() != ast.CallKind || added.AsCall().FunctionName() != operators.Add {
			return false
		}
		one := added.AsCall().Args()[1]
		return one.Kind() == ast.ListKind && len(one.AsList().Elements()) == 1 && !c.HasIterVar2() &&
			one.AsList().Elements()[0].Kind() == ast.IdentKind && one.AsList().Elements()[0].AsIdent() == c.IterVar() &&
			l.isItems(c.IterRange(), own)
	}
	return false
}
