package config

import (
	"reflect"
	"testing"
	"time"
)

// TestTagsAreWellFormed walks the structs of the format: what their tags name must exist, and ranges must be readable and hold the defaults.
func TestTagsAreWellFormed(t *testing.T) {
	t.Parallel()
	c := Default()
	c.TLS = &TLS{}
	c.Auth = &Auth{
		Keys: []APIKey{{}}, JWT: []JWT{{}}, Introspection: []Introspection{defaultIntrospection()}, Certificates: []Certificate{{}}, Anonymous: &Anonymous{},
	}
	c.Audit = &Audit{}
	traces := defaultTraces()
	c.Telemetry.Traces = &traces
	c.Access, c.Limits, c.Cache = []AccessRule{{When: &Condition{}}}, []Limit{{}}, &Cache{MaxSize: MiB}
	c.Upstreams = []Upstream{defaultUpstream("a", Position{})}
	c.Models = []Model{defaultModel("a", Position{})}
	modelHealth := defaultHealth()
	c.Models[0].Health, c.Models[0].Backends = &modelHealth, []ModelBackend{defaultModelBackend(Position{})}
	retry := defaultRetry()
	c.Upstreams[0].Retry, c.Priorities = &retry, []Priority{defaultPriority(Position{})}
	c.Routes = []RouteRule{{Timeout: time.Minute, MaxTimeout: time.Hour}} // which have no defaults
	breaker, health := defaultBreaker(), defaultHealth()
	c.Upstreams[0].Backends, c.Upstreams[0].Breaker, c.Upstreams[0].Health = []Backend{{Weight: 1}}, &breaker, &health
	sampling := defaultSampling()
	c.Upstreams[0].Sampling = &sampling
	file := defaultLogFile()
	c.Telemetry.Logs.File = &file
	checkTags(t, reflect.ValueOf(c).Elem())
}

func checkTags(t *testing.T, v reflect.Value) {
	t.Helper()
	for _, f := range fieldsOf(v.Type()) {
		r, value, name := rulesOf(f), v.FieldByIndex(f.Index), v.Type().Name()+"."+f.Name
		for _, check := range []string{r.check, r.key} {
			if check != "" && checks[check] == nil {
				t.Errorf("%s: there is no check %q", name, check)
			}
		}
		switch x := value.Interface().(type) {
		case int:
			checkRange(t, name, x, r, parseWhole)
		case map[string]int:
			checkRange(t, name, 1, r, parseWhole)
		case time.Duration:
			checkRange(t, name, x, r, parseDuration)
		case Size:
			checkRange(t, name, x, r, ParseSize)
		case Amount:
			checkRange(t, name, x, r, ParseAmount)
		case Percent:
			checkRange(t, name, x, r, ParsePercent)
		default:
			if r.min+r.max != "" {
				t.Errorf("%s has a range but no order", name)
			}
		}
		switch {
		case value.Type() == reflect.TypeFor[Rate](), value.Type() == reflect.TypeFor[*Condition]():
		case value.Kind() == reflect.Struct:
			checkTags(t, value)
		case value.Kind() == reflect.Pointer:
			checkTags(t, value.Elem())
		case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct:
			checkTags(t, value.Index(0))
		case value.Kind() == reflect.Map && checks[r.key] == nil:
			t.Errorf("%s has no rule for its keys", name)
		}
	}
}

func checkRange[T int | time.Duration | Size | Amount | Percent](t *testing.T, name string, standard T, r rules, parse func(string) (T, error)) {
	t.Helper()
	low, err := parse(r.min)
	high, err2 := parse(r.max)
	if err != nil || err2 != nil || low > high {
		t.Errorf("%s: range %q to %q: %v, %v", name, r.min, r.max, err, err2)
	}
	if standard < low || standard > high {
		t.Errorf("%s: the default %v is not in its range", name, standard)
	}
}
