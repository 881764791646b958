package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headgate/headgate/config"
)

// update rewrites what is generated: the schema and the golden files.
var update = flag.Bool("update", false, "rewrite the schema and the golden files")

const schemaFile = "headgate.schema.json"

// object is a JSON object of the schema. encoding/json sorts its keys, which keeps the file stable.
type object = map[string]any

// Patterns that say in a schema what a check says in Go. A value with a variable is always allowed: what it becomes is not known here.
var patterns = map[string]string{
	"upstream name": `^[A-Za-z0-9]([A-Za-z0-9-]|_[A-Za-z0-9-])*$`,
	"path":          `^/mcp(/[A-Za-z0-9]([A-Za-z0-9-]|_[A-Za-z0-9-])*)?$`,
	"url":           `^(https?|wss?)://[^@#]+$|\$\{`,
	"address":       `:[0-9]{1,5}$|\$\{`,
	"duration":      `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|\$\{`,
	"size":          `^[0-9]+(B|KiB|MiB|GiB)?$|\$\{`,
	"variable":      `\$\{`,
	"amount":        `^[0-9]+(\.[0-9]{1,6})?$|\$\{`,
	"percent":       `^[0-9]{1,3}%$|\$\{`,
	"rate":          `^[0-9]+/[smhd]$|\$\{`,
	"key id":        `^[A-Za-z0-9._-]{1,64}$|\$\{`,
	"key hash":      `^sha256:[0-9A-Fa-f]{64}$|\$\{`,
	"https":         `^https?://[^@#]+$|\$\{`,
	"resource":      `^https?://[^@#?]*[^@#?/]$|\$\{`,
	"scope":         `^[!#-\[\]-~]+$`,
	"model":         `^[A-Za-z0-9_.:/@+-]{1,128}$|\$\{`,
	"model name":    `^[A-Za-z0-9_.:/@+*?-]{1,128}$`,
}

// reflector makes the schema from the structs, their tags and the comments of their fields.
type reflector struct {
	comments map[string]string // by TYPE and TYPE.FIELD
}

func (r reflector) schema() ([]byte, error) {
	root := r.object(reflect.ValueOf(*config.Default()))
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "Configuration of Headgate"
	root["properties"].(object)["$schema"] = object{"type": "string", "description": "Where editors find this schema."}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(root)
	return b.Bytes(), err
}

// object describes a struct. The values of its fields are the defaults.
func (r reflector) object(v reflect.Value) object {
	properties := object{}
	for _, f := range reflect.VisibleFields(v.Type()) {
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		p := r.value(v.FieldByIndex(f.Index), f.Tag)
		p["description"] = r.comments[v.Type().Name()+"."+f.Name]
		properties[name] = p
	}
	return object{"type": orNothing("object"), "additionalProperties": false, "properties": properties}
}

// value describes the value of a field.
func (r reflector) value(v reflect.Value, tag reflect.StructTag) object {
	switch x := v.Interface().(type) {
	case time.Duration:
		return withDefault(object{"type": "string", "pattern": patterns["duration"]}, !v.IsZero(), shortDuration(x))
	case config.Size:
		return withDefault(object{"type": []string{"string", "integer"}, "pattern": patterns["size"]}, !v.IsZero(), x.String())
	case bool:
		return object{"type": "boolean"}
	case config.Amount:
		return object{"type": []string{"number", "string"}, "pattern": patterns["amount"], "minimum": number(tag.Get("min")), "maximum": number(tag.Get("max"))}
	case config.Percent:
		return object{"type": "string", "pattern": patterns["percent"]}
	case config.Rate:
		return object{"type": "string", "pattern": patterns["rate"]}
	case *config.Condition:
		return object{"type": "string"}
	case int:
		return withDefault(object{"type": "integer", "minimum": number(tag.Get("min")), "maximum": number(tag.Get("max"))}, !v.IsZero(), x)
	}
	switch v.Kind() {
	case reflect.String:
		return withDefault(text(tag), v.String() != "", v.String())
	case reflect.Pointer:
		o := r.object(elementDefault(v.Type().Elem()))
		if word := tag.Get("word"); word != "" {
			return object{"anyOf": []object{{"enum": []string{word}}, o}}
		}
		return o
	case reflect.Struct:
		return r.object(v)
	case reflect.Map:
		values := text(tag)
		if v.Type().Elem().Kind() == reflect.Int {
			values = r.value(reflect.Zero(v.Type().Elem()), tag)
		}
		return object{"type": orNothing("object"), "additionalProperties": values}
	}
	if key := tag.Get("key"); key != "" {
		names := object{"pattern": patterns[key]}
		if key == "upstream name" {
			names["maxLength"] = 32
		}
		return object{"type": orNothing("object"), "propertyNames": names, "additionalProperties": r.object(elementDefault(v.Type().Elem()))}
	}
	list := object{"type": orNothing("array")}
	if v.Type().Elem().Kind() == reflect.Struct {
		list["items"] = r.object(elementDefault(v.Type().Elem()))
		list["items"].(object)["type"] = "object"
		return list
	}
	list["items"] = text(tag)
	if tag.Get("items") == "some" {
		list["minItems"] = 1
	}
	return list
}

// elementDefault is an element of a named list as Load makes it, for the defaults.
func elementDefault(t reflect.Type) reflect.Value {
	claims := config.Claims{User: "sub", Scopes: "scope"}
	switch t {
	case reflect.TypeFor[config.Endpoint]():
		return reflect.ValueOf(config.Default().Endpoints[0])
	case reflect.TypeFor[config.Upstream]():
		return reflect.ValueOf(config.Upstream{
			Era: "auto", Timeout: time.Minute, Queue: config.Queue{Size: 1024, PerTenant: 100, MaxWait: 30 * time.Second},
		})
	case reflect.TypeFor[config.Model]():
		return reflect.ValueOf(config.Model{
			Balance: "expected-wait", PrefixAffinity: config.KiB, Queue: config.Queue{Size: 1024, PerTenant: 100, MaxWait: 30 * time.Second},
			Deadlines: config.Deadlines{FirstToken: 10 * time.Second, BetweenTokens: 15 * time.Second, Total: 10 * time.Minute},
			Retry:     config.Retry{Attempts: 3, Budget: 10}, Breaker: config.Breaker{Failures: 5, OpenFor: 5 * time.Second}, SlowStart: 30 * time.Second,
			WarmUp: config.WarmUp{At: "first-call", Timeout: 5 * time.Minute},
		})
	case reflect.TypeFor[config.ModelBackend]():
		return reflect.ValueOf(config.ModelBackend{Weight: 1, Prompts: "chat"})
	case reflect.TypeFor[config.JWT]():
		return reflect.ValueOf(config.JWT{Claims: claims})
	case reflect.TypeFor[config.Introspection]():
		return reflect.ValueOf(config.Introspection{Cache: 30 * time.Second, Claims: claims})
	case reflect.TypeFor[config.Limit]():
		return reflect.ValueOf(config.Limit{Mode: "enforce"})
	case reflect.TypeFor[config.Priority]():
		return reflect.ValueOf(config.Priority{Band: "default", Weight: 1})
	case reflect.TypeFor[config.Retry]():
		return reflect.ValueOf(config.Retry{Attempts: 3, Budget: 10})
	case reflect.TypeFor[config.Cache]():
		return reflect.ValueOf(config.Cache{MaxSize: 256 * config.MiB})
	}
	return reflect.Zero(t)
}

func text(tag reflect.StructTag) object {
	if words := tag.Get("enum"); words != "" {
		return object{"type": "string", "anyOf": []object{{"enum": strings.Split(words, ",")}, {"pattern": patterns["variable"]}}}
	}
	o := object{"type": "string"}
	if tag.Get("scalar") == "any" {
		o["type"] = []string{"string", "number", "boolean"}
	}
	if pattern := patterns[tag.Get("check")]; pattern != "" {
		o["pattern"] = pattern
	}
	if check := tag.Get("check"); check == "filled" || strings.Contains(tag.Get("secret"), "required") {
		o["minLength"] = 1
	}
	return o
}

// orNothing allows a key whose value is commented out.
func orNothing(kind string) []string { return []string{kind, "null"} }

func withDefault(o object, has bool, value any) object {
	if has {
		o["default"] = value
	}
	return o
}

// shortDuration is the text a person would write.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return strings.TrimSuffix(s, "0m")
}

func number(s string) json.Number { return json.Number(s) }

// readComments returns the comments of all fields of the package's structs.
func readComments(t *testing.T) map[string]string {
	t.Helper()
	comments := map[string]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return true
		})
	}
	return comments
}

func TestSchemaIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := reflector{comments: readComments(t)}.schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(want), string(config.Schema())); diff != "" {
		t.Errorf("the schema is not what the structs say; run go generate ./config\n%s", diff)
	}
}

// compileSchema returns the checked-in schema, and fails when it is not draft-07.
func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaFile, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// asJSON reads YAML into the values that a JSON Schema validator takes.
func asJSON(t *testing.T, source []byte) any {
	t.Helper()
	data, err := yaml.YAMLToJSON(source)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSchemaAcceptsWhatLoadAccepts(t *testing.T) {
	t.Parallel()
	compiled := compileSchema(t)
	files, err := filepath.Glob("testdata/load/good_*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no good files: %v", err)
	}
	for _, file := range append(files, "../headgate.example.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(asJSON(t, data)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	compiled := compileSchema(t)
	tests := map[string]string{
		"unknown key":            "upstrems: {}",
		"planned key":            "state: embedded",
		"name of a model":        "models: {'a b': {}}",
		"kind of a backend":      "models: {a: {backends: [{kind: vllm}]}}",
		"alias that is a glob":   "models: {a: {aliases: ['b*']}}",
		"price below nothing":    "models: {a: {price: {input: -1}}}",
		"deadline without unit":  "models: {a: {deadlines: {total: 5}}}",
		"unknown key of a model": "models: {a: {backend: []}}",
		"version":                "version: 2",
		"number as text":         "version: '1'",
		"unknown upstream key":   "upstreams: {a: {command: x, comand: y}}",
		"upstream name":          "upstreams: {a__b: {command: x}}",
		"long upstream name":     "upstreams: {a23456789012345678901234567890123: {command: x}}",
		"url":                    "upstreams: {a: {url: 'ftp://x'}}",
		"user information":       "upstreams: {a: {url: 'https://u:p@x'}}",
		"era":                    "upstreams: {a: {url: 'https://x', era: ancient}}",
		"transport":              "upstreams: {a: {url: 'https://x', transport: stdio}}",
		"empty header":           "upstreams: {a: {url: 'https://x', headers: {A: ''}}}",
		"duration without unit":  "upstreams: {a: {url: 'https://x', timeout: 30}}",
		"empty allow list":       "upstreams: {a: {url: 'https://x', tools: {allow: []}}}",
		"endpoint path":          "endpoints: {/rpc: {}}",
		"size unit":              "bounds: {body: 4MB}",
		"depth":                  "bounds: {depth: 1000000}",
		"listen without a port":  "listen: localhost",
		"a list for a mapping":   "upstreams: []",
		"a mapping for a scalar": "listen: {host: x}",
		"resource with a slash":  "auth: {resource: 'https://gateway.example.com/'}",
		"hash of a key":          "auth: {keys: [{id: a, hash: 'sha256:00'}]}",
		"id of a key":            "auth: {keys: [{id: 'a b'}]}",
		"unknown key of a key":   "auth: {keys: [{id: a, secret: b}]}",
		"a word for anonymous":   "auth: {anonymous: allow}",
		"an algorithm":           "auth: {jwt: [{issuer: x, algorithms: [none]}]}",
		"a truth value":          "auth: {jwt: [{issuer: x, allow_private: 'yes'}]}",
	}
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if compiled.Validate(asJSON(t, []byte(source))) == nil {
				t.Errorf("the schema accepts %s", source)
			}
		})
	}
}
