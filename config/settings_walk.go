package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// walker collects the values of a structure.
type walker struct {
	secrets []string
	out     []Setting
}

var (
	secretType    = reflect.TypeFor[Secret]()
	positionType  = reflect.TypeFor[Position]()
	durationType  = reflect.TypeFor[time.Duration]()
	conditionType = reflect.TypeFor[*Condition]()
)

func (w *walker) add(path string, v string, secret bool) {
	for _, s := range w.secrets {
		secret = secret || strings.Contains(v, s)
	}
	w.out = append(w.out, Setting{Path: path, Value: v, Secret: secret})
}

// walk collects what v holds. What is empty says no more than that it is not there.
func (w *walker) walk(path string, v reflect.Value, secret bool) {
	switch {
	case !v.IsValid() || v.IsZero():
	case v.Type() == positionType:
	case v.Type() == secretType:
		w.add(path, v.String(), true)
	case v.Type() == conditionType:
		w.add(path, v.Interface().(*Condition).source, secret)
	case v.Type() == durationType:
		w.add(path, time.Duration(v.Int()).String(), secret)
	case v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface:
		w.present(path, v.Elem())
		w.walk(path, v.Elem(), secret)
	case v.Kind() == reflect.Struct:
		w.structure(path, v, secret)
	case v.Kind() == reflect.Map:
		for _, key := range v.MapKeys() {
			w.walk(join(path, key.String()), v.MapIndex(key), secret)
		}
	case v.Kind() == reflect.Slice:
		w.list(path, v, secret)
	default:
		w.add(path, textOf(v), secret)
	}
}

// present notes that there is a section, though none of its values may be given.
func (w *walker) present(path string, v reflect.Value) {
	if path != "" && v.IsZero() {
		w.add(path, "present", false)
	}
}

// structure collects the fields of a file's mapping, or else all of a value made of several parts.
func (w *walker) structure(path string, v reflect.Value, secret bool) {
	t, named := v.Type(), false
	for i := range t.NumField() {
		name, ok := t.Field(i).Tag.Lookup("yaml")
		if !ok || !t.Field(i).IsExported() {
			continue
		}
		named = true
		if name == "-" && t.Field(i).Name == "Disabled" {
			name = "disabled"
		}
		if name = strings.Split(name, ",")[0]; name != "-" {
			w.walk(join(path, name), v.Field(i), secret || t.Field(i).Tag.Get("secret") != "")
		}
	}
	if !named {
		w.add(path, textOf(v), secret)
	}
}

// textOf returns a value as it is, also one that does not show itself.
func textOf(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Amount:
		return strconv.FormatFloat(float64(x)/Millionths, 'f', -1, 64)
	case Rate:
		return fmt.Sprintf("%d per %v", x.Count, x.Per)
	}
	if v.Kind() == reflect.String {
		return v.String()
	}
	return fmt.Sprint(v.Interface())
}

// list collects elements under what they are called, or else under their place.
func (w *walker) list(path string, v reflect.Value, secret bool) {
	if v.Type().Elem() == secretType {
		secret = true
	}
	if kind := v.Type().Elem().Kind(); kind != reflect.Struct && kind != reflect.Pointer && kind != reflect.Interface {
		texts := make([]string, v.Len())
		for i := range texts {
			texts[i] = textOf(v.Index(i))
		}
		w.add(path, "["+strings.Join(texts, ", ")+"]", secret)
		return
	}
	names := make([]string, v.Len())
	for i := range names {
		names[i] = nameOf(v.Index(i), i)
		at := join(path, names[i])
		w.present(at, v.Index(i))
		w.walk(at, v.Index(i), secret)
	}
	w.add(path+inOrder, strings.Join(names, ", "), false)
}

// inOrder ends the path of what says in which order the elements of a list come. It counts where they are the same.
const inOrder = " (order)"

// reordered reports whether two values say that the same elements come in another order.
func reordered(before, after string) bool {
	was, is := strings.Split(before, ", "), strings.Split(after, ", ")
	slices.Sort(was)
	slices.Sort(is)
	return slices.Equal(was, is)
}

// nameOf returns what an element of a list is called, if it says so, or else its place.
func nameOf(v reflect.Value, i int) string {
	if v.Kind() == reflect.Struct {
		for _, field := range []string{"Name", "ID", "Path", "Issuer", "URL"} {
			if f := v.FieldByName(field); f.IsValid() && f.Kind() == reflect.String && f.String() != "" && !strings.ContainsAny(f.String(), ".,") {
				return f.String()
			}
		}
	}
	return fmt.Sprintf("[%d]", i)
}
