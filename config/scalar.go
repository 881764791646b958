package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scalar reads one value of a type that the format has. It returns false when there is none, which was then said.
func (d *decoder) scalar(n *node, into reflect.Value, r rules, path string) bool {
	switch v := into.Addr().Interface().(type) {
	case *int:
		if n.kind != number {
			d.fail(n.at, path, fmt.Sprintf("%s must be a whole number, not %s", lastKey(path), n.kind), "")
			return false
		}
		return ranged(d, n, v, n.text, r, path, parseWhole)
	case *bool:
		if n.kind != boolean {
			d.fail(n.at, path, fmt.Sprintf("%s must be true or false, not %s", lastKey(path), n.kind), "")
			return false
		}
		*v = strings.EqualFold(n.text, "true")
		return true
	case *time.Duration:
		if n.kind == number {
			d.fail(n.at, path, lastKey(path)+" must be a duration with a unit", fmt.Sprintf("write %ss, or another unit: ms, m, h", n.text))
			return false
		}
		s, ok := d.text(n, r, path)
		return ok && ranged(d, n, v, s, r, path, parseDuration)
	case *Size:
		r.anyScalar = true
		s, ok := d.text(n, r, path)
		return ok && ranged(d, n, v, s, r, path, ParseSize)
	case *Amount:
		r.anyScalar = true
		s, ok := d.text(n, r, path)
		return ok && ranged(d, n, v, s, r, path, ParseAmount)
	case *Percent:
		r.anyScalar = true
		s, ok := d.text(n, r, path)
		return ok && ranged(d, n, v, s, r, path, ParsePercent)
	case *Rate:
		r.anyScalar = true
		return parsed(d, n, v, r, path, ParseRate)
	case **Condition:
		return parsed(d, n, v, r, path, ParseCondition)
	default: // string and Secret
		s, ok := d.text(n, r, path)
		if ok {
			into.SetString(s)
		}
		return ok
	}
}

// parsed reads a value of a form of its own.
func parsed[T any](d *decoder, n *node, into *T, r rules, path string, parse func(string) (T, error)) bool {
	s, ok := d.text(n, r, path)
	if !ok {
		return false
	}
	value, err := parse(s)
	if err != nil {
		d.fail(n.at, path, lastKey(path)+" "+err.Error(), "")
		return false
	}
	*into = value
	return true
}

// ranged parses a value and compares it with the range of the field.
func ranged[T cmp.Ordered](d *decoder, n *node, into *T, source string, r rules, path string, parse func(string) (T, error)) bool {
	value, err := parse(source)
	if err == nil {
		low, _ := parse(r.min) // tags, checked by a test
		high, _ := parse(r.max)
		if value < low || value > high {
			err = outOfRange(r)
		}
	}
	if err != nil {
		d.fail(n.at, path, lastKey(path)+" "+err.Error(), "")
		return false
	}
	*into = value
	return true
}

func outOfRange(r rules) error {
	if r.min == r.max {
		return fmt.Errorf("must be %s", r.min)
	}
	return fmt.Errorf("must be from %s to %s", r.min, r.max)
}

func parseWhole(s string) (int, error) {
	i, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("must be a whole number")
	}
	return i, nil
}

func parseDuration(s string) (time.Duration, error) {
	v, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("must be a duration such as 30s, 5m or 1h30m")
	}
	return v, nil
}

// text reads a string: it replaces variables or reads a secret's file, and applies the rules of the field. ok is false when
// there is no value, which was then said.
func (d *decoder) text(n *node, r rules, path string) (value string, ok bool) {
	switch {
	case n.kind == text:
	case r.anyScalar && (n.kind == number || n.kind == boolean):
	default:
		hint := ""
		if n.kind == number || n.kind == boolean {
			hint = "put it in quotes"
		}
		d.fail(n.at, path, fmt.Sprintf("%s must be text, not %s", lastKey(path), n.kind), hint)
		return "", false
	}
	if file, isFile := strings.CutPrefix(n.text, "file:"); isFile && r.fromFile {
		value, ok = d.secretFile(n, file, path)
	} else {
		value, ok = d.expand(n, n.text, r, path)
	}
	return value, ok && d.checkText(n, value, r, path)
}

// checkText applies the rules of the field to the finished value. Messages show the value as the file has it, if at all, and never with
// variables replaced.
func (d *decoder) checkText(n *node, value string, r rules, path string) bool {
	if len(r.enum) > 0 && !slices.Contains(r.enum, value) {
		d.notInEnum(n, r, path)
		return false
	}
	if r.check == "" {
		return true
	}
	if err := checks[r.check](value); err != nil {
		d.fail(n.at, path, lastKey(path)+" "+err.Error(), "")
		return false
	}
	return true
}

// expand replaces the variables of a value.
func (d *decoder) expand(n *node, source string, r rules, path string) (string, bool) {
	t, bare, err := parseTemplate(source)
	if err != nil {
		d.fail(n.at, path, lastKey(path)+" "+err.Error(), templateHint)
		return "", false
	}
	d.warnBare(n.at, path, bare)
	e, err := t.evaluate(d.resolve)
	switch {
	case err != nil:
		d.fail(n.at, path, lastKey(path)+" "+err.Error(), templateHint)
		return "", false
	case len(e.unset) > 0:
		d.unset(n, e.unset, path)
		return "", false
	case len(e.empty) > 0 && (r.required || r.fromFile && looksSecret(lastKey(path))):
		d.fail(n.at, path, fmt.Sprintf("the secret %s is empty: variable %s is set to nothing", lastKey(path), e.empty[0]),
			"export "+e.empty[0]+"=…")
		return "", false
	case e.text == "" && r.required:
		d.fail(n.at, path, lastKey(path)+" is empty", "give it a value or leave it out")
		return "", false
	}
	return e.text, true
}

// templateHint says what a value may hold.
const templateHint = "write ${NAME}, ${NAME:-default}, or $$ for a dollar sign"

// warnBare says that $NAME is not replaced.
func (f *findings) warnBare(at Position, path string, names []string) {
	for _, name := range names {
		f.warn(at, path, fmt.Sprintf("$%s is passed on as it stands, it is not replaced", name),
			fmt.Sprintf("write ${%s} for the variable's value, or $$%s for the text itself", name, name))
	}
}

// unset switches the current upstream, API key or backend of a model off, so that one missing variable does not stop the others. Elsewhere it is a problem.
func (d *decoder) unset(n *node, names []string, path string) {
	reason := fmt.Sprintf("variable %s is not set", strings.Join(names, ", "))
	hint := fmt.Sprintf("export %s=… or write ${%s:-default}", names[0], names[0])
	switch {
	case d.upstream != nil:
		d.disable(d.upstream, n.at, path, reason, hint)
	case d.key != nil:
		d.disableKey(d.key, n.at, path, reason, hint)
	case d.backend != nil:
		d.disableBackend(d.backend, n.at, path, reason, hint)
	default:
		d.fail(n.at, path, reason, hint)
	}
}

// disable switches an upstream off, with the first reason that is found, and warns of every one.
func (f *findings) disable(u *Upstream, at Position, path, reason, hint string) {
	if u.Disabled == "" {
		u.Disabled = fmt.Sprintf("%s (%s %s)", reason, at, path)
	}
	f.warn(at, path, fmt.Sprintf("upstream %q is disabled: %s", u.Name, reason), hint)
}

// disableKey switches an API key off, as disable does an upstream.
func (f *findings) disableKey(k *APIKey, at Position, path, reason, hint string) {
	if k.Disabled == "" {
		k.Disabled = fmt.Sprintf("%s (%s %s)", reason, at, path)
	}
	f.warn(at, path, "the API key is disabled: "+reason, hint)
}

// lookup makes a resolver of the variables of our own files.
func lookup(env func(string) (string, bool)) resolver {
	return func(name string) (string, bool, error) {
		if !isVariableName(name) {
			if after, ok := strings.CutPrefix(name, "env:"); ok && isVariableName(after) {
				return "", false, fmt.Errorf("has ${%s}; here that is ${%s}", name, after)
			}
			return "", false, fmt.Errorf("has ${%s}, which names no variable", name)
		}
		value, ok := env(name)
		return value, ok, nil
	}
}
