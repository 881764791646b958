package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// decoder turns a tree into the structs and gathers everything that is wrong on the way.
type decoder struct {
	dir      string // the file's folder, to which file: paths are relative
	resolve  resolver
	note     func(file string) // is told of each file that is read
	upstream *Upstream         // the one being decoded: a variable that is not set switches off only this
	key      *APIKey           // likewise
	backend  *ModelBackend     // likewise
	findings
}

// rules are the tags of a field.
type rules struct {
	enum      []string
	min, max  string
	check     string
	key       string // the check for the keys of a mapping
	word      string // may stand for nothing where a mapping is expected
	anyScalar bool   // numbers and truth values are taken as their own text
	filled    bool   // an empty list is refused
	fromFile  bool   // file:PATH is allowed
	required  bool   // an empty value is refused
}

// rulesOf reads the tags of a field.
func rulesOf(f reflect.StructField) rules {
	r := rules{
		min: f.Tag.Get("min"), max: f.Tag.Get("max"), check: f.Tag.Get("check"), key: f.Tag.Get("key"),
		word:      f.Tag.Get("word"),
		anyScalar: f.Tag.Get("scalar") == "any",
		filled:    f.Tag.Get("items") == "some",
	}
	if words := f.Tag.Get("enum"); words != "" {
		r.enum = strings.Split(words, ",")
	}
	for word := range strings.SplitSeq(f.Tag.Get("secret"), ",") {
		r.fromFile = r.fromFile || word == "file"
		r.required = r.required || word == "required"
	}
	return r
}

// decode reads n into a value of the format. Nothing is written to into when n is wrong, so that its default stays.
func (d *decoder) decode(n *node, into reflect.Value, r rules, path string) {
	switch kind := into.Kind(); {
	case into.Type() == reflect.TypeFor[*Condition](), into.Type() == reflect.TypeFor[Rate]():
		d.scalar(n, into, r, path)
	case kind == reflect.Pointer && r.word != "" && n.kind == text:
		if n.text != r.word {
			d.fail(n.at, path, fmt.Sprintf("%s must be %s or a mapping", lastKey(path), r.word), "")
		}
	case kind == reflect.Pointer:
		if n.kind != null {
			into.Set(reflect.New(into.Type().Elem()))
			d.prepare(into.Interface(), "", n.at)
			d.decode(n, into.Elem(), r, path)
		}
	case kind == reflect.Struct, kind == reflect.Map, kind == reflect.Slice && r.key != "":
		if d.expect(n, mapping, path) {
			d.members(n, into, r, path)
		}
	case kind == reflect.Slice:
		if d.expect(n, list, path) {
			d.items(n, into, r, path)
		}
	default:
		d.scalar(n, into, r, path)
	}
}

// members reads a mapping.
func (d *decoder) members(n *node, into reflect.Value, r rules, path string) {
	switch into.Kind() {
	case reflect.Struct:
		d.object(n, into, path)
	case reflect.Map:
		d.entries(n, into, r, path)
	default:
		d.named(n, into, r, path)
	}
}

// items reads a list.
func (d *decoder) items(n *node, into reflect.Value, r rules, path string) {
	if into.Type().Elem().Kind() == reflect.Struct {
		d.objects(n, into, path)
		return
	}
	d.list(n, into, r, path)
}

// expect reports whether n is of the kind. Nothing at all (a key whose value is commented out) counts as left out, without a problem.
func (d *decoder) expect(n *node, want kind, path string) bool {
	if n.kind != want && n.kind != null {
		d.fail(n.at, path, fmt.Sprintf("%s must be %s, not %s", lastKey(path), want, n.kind), "")
	}
	return n.kind == want
}

// object reads the keys of a struct.
func (d *decoder) object(n *node, into reflect.Value, path string) {
	fields := fieldsOf(into.Type())
	for _, m := range d.unique(n, path) {
		i := slices.IndexFunc(fields, func(f reflect.StructField) bool { return f.Tag.Get("yaml") == m.key })
		if i >= 0 {
			d.decode(m.value, into.FieldByIndex(fields[i].Index), rulesOf(fields[i]), join(path, m.key))
			continue
		}
		if m.key == "$schema" && path == "" {
			continue // editors read it
		}
		d.unknown(m, into.Type().Name(), fields, join(path, m.key))
	}
}

// fieldsOf returns the fields of a struct that are keys of the format.
func fieldsOf(t reflect.Type) []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool {
		name := f.Tag.Get("yaml")
		return name == "" || name == "-"
	})
}

// unique returns the members without those whose key stood before, which are problems.
func (d *decoder) unique(n *node, path string) []member {
	first := make(map[string]Position, len(n.members))
	members := make([]member, 0, len(n.members))
	for _, m := range n.members {
		if at, ok := first[m.key]; ok {
			d.fail(m.at, join(path, m.key), fmt.Sprintf("key %q stands a second time", m.key), "keep one; the first is at "+at.String())
			continue
		}
		first[m.key] = m.at
		members = append(members, m)
	}
	return members
}

// list reads a list of scalars.
func (d *decoder) list(n *node, into reflect.Value, r rules, path string) {
	if r.filled && len(n.items) == 0 {
		d.fail(n.at, path, "an empty list here would mean everything", "leave "+lastKey(path)+" out, or name what is meant")
		return
	}
	values := reflect.MakeSlice(into.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		d.scalar(item, values.Index(i), r, fmt.Sprintf("%s[%d]", path, i))
	}
	into.Set(values)
}

// objects reads a list of mappings.
func (d *decoder) objects(n *node, into reflect.Value, path string) {
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item.kind != mapping {
			d.fail(item.at, at, fmt.Sprintf("%s must be a mapping, not %s", lastKey(at), item.kind), "")
			continue
		}
		element := reflect.New(into.Type().Elem())
		d.prepare(element.Interface(), "", item.at)
		d.decode(item, element.Elem(), rules{}, at)
		d.key, d.backend = nil, nil
		into.Set(reflect.Append(into, element.Elem()))
	}
}

// prepare gives a part of the configuration that may be left out what it has before its keys are read.
func (d *decoder) prepare(element any, name string, at Position) {
	switch e := element.(type) {
	case *Upstream:
		*e = defaultUpstream(name, at)
		d.upstream = e
	case *Model:
		*e = defaultModel(name, at)
	case *ModelBackend:
		*e = defaultModelBackend(at)
		d.backend = e
	case *Endpoint:
		*e = defaultEndpoint(name)
		e.Position = at
	case *APIKey:
		e.Position = at
		d.key = e
	case *JWT:
		*e = JWT{Position: at, Claims: defaultClaims()}
	case *Introspection:
		*e = defaultIntrospection()
		e.Position = at
	default:
		prepareRule(element, at)
		prepareOption(element)
	}
}

// prepareRule is prepare for elements of lists that have no name.
func prepareRule(element any, at Position) {
	switch e := element.(type) {
	case *Certificate:
		e.Position = at
	case *AccessRule:
		e.Position = at
	case *RouteRule:
		e.Position = at
	case *Limit:
		*e = Limit{Position: at, Mode: "enforce"}
	case *Priority:
		*e = defaultPriority(at)
	case *Backend:
		*e = Backend{Position: at, Weight: 1}
	}
}

// prepareOption is prepare for parts that are switched on by being there.
func prepareOption(element any) {
	switch e := element.(type) {
	case *Retry:
		*e = defaultRetry()
	case *Cache:
		*e = defaultCache()
	case *LogFile:
		*e = defaultLogFile()
	case *Breaker:
		*e = defaultBreaker()
	case *Health:
		*e = defaultHealth()
	case *Sampling:
		*e = defaultSampling()
	case *Traces:
		*e = defaultTraces()
	}
}

// entries reads a mapping of free keys to scalars.
func (d *decoder) entries(n *node, into reflect.Value, r rules, path string) {
	values := reflect.MakeMapWithSize(into.Type(), len(n.members))
	for _, m := range d.unique(n, path) {
		value := reflect.New(into.Type().Elem()).Elem()
		ok := d.scalar(m.value, value, r, join(path, m.key))
		if d.checkKey(m, r, join(path, m.key)) && ok {
			values.SetMapIndex(reflect.ValueOf(m.key), value)
		}
	}
	into.Set(values)
}

// named reads a mapping whose keys are the names of its elements into a slice in file order.
func (d *decoder) named(n *node, into reflect.Value, r rules, path string) {
	for _, m := range d.unique(n, path) {
		d.checkKey(m, r, join(path, m.key))
		element := reflect.New(into.Type().Elem())
		d.prepare(element.Interface(), m.key, m.at)
		d.decode(m.value, element.Elem(), rules{}, join(path, m.key))
		d.upstream = nil
		into.Set(reflect.Append(into, element.Elem()))
	}
}

// checkKey applies the rule for keys.
func (d *decoder) checkKey(m member, r rules, path string) bool {
	err := checks[r.key](m.key)
	if err != nil {
		d.fail(m.at, path, fmt.Sprintf("%s %q %v", r.key, m.key, err), "")
	}
	return err == nil
}

// beside returns a path of the file's as seen by the process: relative to the file's folder.
func (d *decoder) beside(path string) string { return beside(d.dir, path) }

func beside(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// join appends a key to a field path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// lastKey returns the end of a field path, to begin a sentence with.
func lastKey(path string) string {
	if path == "" {
		return "the file"
	}
	return path[strings.LastIndexByte(path, '.')+1:]
}
