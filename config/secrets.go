package config

import (
	"encoding/base64"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// openHeaders are headers whose values are no secrets, whoever sets them.
var openHeaders = []string{"accept-language", "from", "referer", "user-agent"}

// Secrets returns all values of the configuration that must not be shown: those that are secret by their place, and those
// in environments, arguments and addresses that are so by their name or their look. Their order means nothing.
func (c *Config) Secrets() []string {
	var out []string
	if c.Auth != nil {
		out = secretsIn(reflect.ValueOf(*c.Auth), out)
	}
	for i := range c.Upstreams {
		out = c.Upstreams[i].secrets(out)
	}
	for i := range c.Models {
		for _, b := range c.Models[i].Backends {
			out = addressSecrets(b.URL, headerSecrets(b.Headers, out))
		}
	}
	out = c.Telemetry.Traces.secrets(out)
	out = slices.DeleteFunc(out, func(s string) bool { return s == "" }) // a key that is kept as its hash, for one
	return slices.Compact(slices.Sorted(slices.Values(out)))
}

// secretsIn collects the values of type [Secret] in a struct and in what it holds.
func secretsIn(v reflect.Value, out []string) []string {
	if s, ok := reflect.TypeAssert[Secret](v); ok {
		return append(out, s.Reveal())
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out = secretsIn(v.Field(i), out)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = secretsIn(v.Index(i), out)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			out = secretsIn(v.Elem(), out)
		}
	default: // holds none
	}
	return out
}

func (u *Upstream) secrets(out []string) []string {
	out = headerSecrets(u.Headers, out)
	for name, value := range u.Env {
		if looksSecret(name) || looksLikeCredential(value) {
			out = append(out, value)
		}
	}
	for i, arg := range u.Args {
		name, value, assigned := strings.Cut(arg, "=")
		switch {
		case assigned && (looksSecret(name) || looksLikeCredential(value)):
			out = append(out, value)
		case looksLikeCredential(arg), i > 0 && !strings.HasPrefix(arg, "-") && strings.HasPrefix(u.Args[i-1], "-") && looksSecret(u.Args[i-1]):
			out = append(out, arg)
		}
	}
	return addressSecrets(u.URL, out)
}

// headerSecrets finds the secrets among the headers that are sent to a server.
func headerSecrets(headers map[string]Secret, out []string) []string {
	for name, value := range headers {
		if !slices.Contains(openHeaders, strings.ToLower(name)) {
			out = headerSecret(value.Reveal(), out)
		}
	}
	return out
}

// headerSecret takes the scheme off a value. What Basic encodes is as secret as the code.
func headerSecret(value string, out []string) []string {
	for _, scheme := range schemes {
		if len(value) > len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) {
			value = value[len(scheme):]
			break
		}
	}
	out = append(out, value)
	if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
		if _, password, ok := strings.Cut(string(plain), ":"); ok {
			out = append(out, password)
		}
	}
	return out
}

// addressSecrets finds the password of an address, and what its query and its path hold.
func addressSecrets(address string, out []string) []string {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return out
	}
	if password, ok := u.User.Password(); ok {
		out = append(out, password)
	}
	for name, values := range u.Query() {
		for _, value := range values {
			if looksSecret(name) || looksLikeCredential(value) {
				out = append(out, value)
			}
		}
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if looksLikeCredential(segment) {
			out = append(out, segment)
		}
	}
	return out
}
