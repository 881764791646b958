package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// inputPrefix begins the environment variables that answer ${input:ID}.
const inputPrefix = "HEADGATE_INPUT_"

// meaning says what a name inside ${} is in clients' files: fixed text, or a variable of the environment.
func (r *clientReader) meaning(name string) (fixed, variable string, err error) {
	switch name {
	case "/", "pathSeparator":
		return string(filepath.Separator), "", nil
	case "workspaceFolder":
		return r.workspace, "", nil
	case "workspaceFolderBasename":
		return filepath.Base(r.workspace), "", nil
	case "userHome":
		for _, name := range []string{"HOME", "USERPROFILE"} {
			if home, _ := r.env(name); home != "" {
				return home, "", nil
			}
		}
		return "", "HOME", nil
	}
	if id, ok := strings.CutPrefix(name, "input:"); ok && id != "" {
		return "", inputPrefix + variableName(id), nil
	}
	plain := strings.TrimPrefix(name, "env:")
	if !isVariableName(plain) {
		return "", "", fmt.Errorf("has ${%s}, which Headgate does not know", name)
	}
	return "", plain, nil
}

// variableName makes an environment variable's name of any text.
func variableName(from string) string {
	name := strings.Map(func(c rune) rune {
		if c < 0x80 && isNameByte(byte(c), false) {
			return c
		}
		return '_'
	}, strings.ToUpper(from))
	if !isVariableName(name) {
		return "_" + name
	}
	return name
}

// resolve is the resolver of clients' files.
func (r *clientReader) resolve(name string) (string, bool, error) {
	fixed, variable, err := r.meaning(name)
	if err != nil || fixed != "" {
		return fixed, true, err
	}
	if value, ok := r.env(variable); ok {
		return value, true, nil
	}
	id, isInput := strings.CutPrefix(name, "input:")
	if !isInput {
		return "", false, nil
	}
	in := r.inputs[id]
	if r.ask != nil {
		if value, ok := r.ask(id, in.description, in.password); ok {
			return value, true, nil
		}
	}
	return in.fallback, in.fallback != "", nil
}

// rename is resolve for Import: variables stay, in our notation, and inputs keep their default.
func (r *clientReader) rename(name string) (segment, error) {
	fixed, variable, err := r.meaning(name)
	if err != nil || fixed != "" {
		return segment{text: fixed}, err
	}
	ref := &reference{name: variable}
	if id, ok := strings.CutPrefix(name, "input:"); ok && r.inputs[id].fallback != "" && !strings.Contains(r.inputs[id].fallback, "}") {
		ref.optional, ref.fallback = true, template{{text: r.inputs[id].fallback}}
	}
	return segment{ref: ref}, nil
}

// expand replaces the variables of a value, or rewrites them for Import. ok is false when the server was switched off for it.
func (s *clientServer) expand(n *node, path string, secret bool) (value string, ok bool) {
	t, bare, err := parseTemplate(n.text)
	if err != nil {
		s.disable(n.at, path, lastKey(path)+" "+err.Error(), templateHint)
		return "", false
	}
	s.warnBare(n.at, path, bare)
	if s.template {
		value, err = t.rewrite(s.rename)
		if err != nil {
			s.disable(n.at, path, lastKey(path)+" "+err.Error(), "write the value in its place")
		}
		return value, err == nil
	}
	e, err := t.evaluate(s.resolve)
	switch {
	case err != nil:
		s.disable(n.at, path, lastKey(path)+" "+err.Error(), "write the value in its place")
		return "", false
	case len(e.unset) > 0:
		s.disableUnset(n, path, e.unset)
		return "", false
	case len(e.empty) > 0 && secret:
		_, variable, _ := s.meaning(e.empty[0])
		s.disable(n.at, path, fmt.Sprintf("the secret %s is empty: variable %s is set to nothing", lastKey(path), variable),
			"export "+variable+"=…")
		return "", false
	}
	return e.text, true
}

// disableUnset switches the server off for variables without value.
func (s *clientServer) disableUnset(n *node, path string, names []string) {
	if i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, "input:") }); i >= 0 {
		id := strings.TrimPrefix(names[i], "input:")
		s.disable(n.at, path, fmt.Sprintf("input %q has no value", id), fmt.Sprintf("export %s%s=…", inputPrefix, variableName(id)))
		return
	}
	_, variable, _ := s.meaning(names[0])
	s.disable(n.at, path, fmt.Sprintf("variable %s is not set", variable), "export "+variable+"=…")
}
