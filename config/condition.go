package config

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/interpreter"
)

// conditionCost bounds the work of one evaluation, in the units of the language: about 30 ms of loops, or a search through 300 KB of text.
const conditionCost = 30_000

// The names that a condition may use.
const (
	FactPrincipal = "principal" // who calls: org, team, key, user, scopes
	FactMethod    = "method"    // what is called, such as tools/call
	FactName      = "name"      // the canonical tool, the prompt, or the URI
	FactArguments = "args"      // the arguments of the call
)

// Facts are what a condition is about. It may be asked for the same name more than once.
type Facts interface {
	// ResolveName returns the value of one of the names that a condition may use; false if there is none.
	ResolveName(name string) (any, bool)
}

// Condition is an expression in CEL that is true or false of a call. It may be used by any number of goroutines.
type Condition struct {
	source    string
	program   cel.Program
	arguments bool
}

// ParseCondition compiles an expression. The error says what is wrong with it and where, in one line.
func ParseCondition(source string) (*Condition, error) {
	env, err := cel.NewEnv(
		cel.Variable(FactPrincipal, cel.MapType(cel.StringType, cel.DynType)), cel.Variable(FactMethod, cel.StringType),
		cel.Variable(FactName, cel.StringType), cel.Variable(FactArguments, cel.DynType),
		cel.CrossTypeNumericComparisons(true),
	)
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(source)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, fmt.Errorf("is no condition: %s (character %d)", oneLine(first.Message), first.Location.Column()+1)
	}
	if !slices.Contains([]*cel.Type{cel.BoolType, cel.DynType}, ast.OutputType()) {
		return nil, fmt.Errorf("must be true or false, and is of the type %s", ast.OutputType())
	}
	program, err := env.Program(ast, cel.CostLimit(conditionCost))
	if err != nil {
		return nil, fmt.Errorf("is no condition: %s", oneLine(err.Error()))
	}
	c := &Condition{source: source, program: program}
	for _, reference := range ast.NativeRep().ReferenceMap() {
		c.arguments = c.arguments || reference.Name == FactArguments
	}
	return c, nil
}

// String returns the expression as it was written.
func (c *Condition) String() string { return c.source }

// MarshalText returns the expression as it was written.
func (c *Condition) MarshalText() ([]byte, error) { return []byte(c.source), nil }

// NeedsArguments reports whether the expression is about the arguments of a call, so that nothing is known of it before there is one.
func (c *Condition) NeedsArguments() bool { return c.arguments }

// Holds reports whether the condition is true. Where it is about a member that a call does not have, it is false; the error says that
// it could not be decided otherwise, such as when a text is where a number was expected.
func (c *Condition) Holds(facts Facts) (bool, error) {
	out, _, err := c.program.Eval(activation{facts})
	switch {
	case err != nil && missing(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("condition %q: %w", c.source, err)
	}
	truth, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("condition %q is of the type %s and not true or false", c.source, out.Type().TypeName())
	}
	return truth, nil
}

// missing reports whether an evaluation ended at a member that is not there. The library has no type for that.
func missing(err error) bool { return strings.HasPrefix(err.Error(), "no such key") }

// activation gives facts to the library.
type activation struct{ Facts }

// Parent implements interpreter.Activation.
func (activation) Parent() interpreter.Activation { return nil }

var _ interpreter.Activation = activation{}
