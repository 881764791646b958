package infer

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/headgate/headgate/rpc"
)

// Bounds of params, in bytes.
const (
	MaxModel     = 256 // the name of a model
	MaxKey       = 256 // an idempotency key
	maxJobID     = 1024
	maxNonce     = 1024
	maxRequestID = 256
	maxVersion   = 64
	maxStops     = 64 // stop sequences
)

// Bounds of numbers.
const (
	MaxTokens = 1 << 40          // what may be asked for at most
	MaxWait   = 30 * time.Second // of a status that waits for a job
	maxTail   = 10_000
	maxTime   = 365 * 24 * time.Hour // any time in params
)

// params reads the members of an object. The first that is not as it has to be is what err says.
type params struct {
	of interface {
		Get(name string) (json.RawMessage, bool)
	}
	path string // of the object
	err  error
}

// paramsOf reads the params of a message.
func paramsOf(m *rpc.Message) params { return params{of: m, path: "params."} }

func (p *params) fail(name, want string) {
	if p.err == nil {
		p.err = rpc.Errorf(rpc.InvalidParams, "%s%s must be %s", p.path, name, want)
	}
}

// get returns a member; one that is null is absent.
func (p *params) get(name string) (json.RawMessage, bool) {
	v, ok := p.of.Get(name)
	return v, ok && string(v) != "null"
}

// text returns a string of 1 to most bytes; empty if there is none.
func (p *params) text(name string, most int) string {
	v, ok := p.get(name)
	if !ok {
		return ""
	}
	s, err := rpc.Unquote(v)
	if err != nil || s == "" || len(s) > most || !utf8.ValidString(s) {
		p.fail(name, "a string of 1 to "+strconv.Itoa(most)+" bytes")
		return ""
	}
	return s
}

func (p *params) flag(name string, otherwise bool) bool {
	v, ok := p.get(name)
	switch {
	case !ok:
		return otherwise
	case string(v) == "true":
		return true
	case string(v) != "false":
		p.fail(name, "true or false")
	}
	return false
}

// count returns a whole number between least and most; 0 if there is none.
func (p *params) count(name string, least, most int64) int64 {
	v, ok := p.get(name)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < least || n > most {
		p.fail(name, "a whole number from "+strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10))
		return 0
	}
	return n
}

// number returns a number that is not negative.
func (p *params) number(name string) (f float64, said bool) {
	v, ok := p.get(name)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f < 0 || math.IsInf(f, 0) {
		p.fail(name, "a number that is not negative")
		return 0, false
	}
	return f, true
}

// seconds returns a time that is given in seconds, at most the one that is allowed; 0 if there is none.
func (p *params) seconds(name string, most time.Duration) time.Duration {
	f, said := p.number(name)
	if !said {
		return 0
	}
	if f > most.Seconds() {
		p.fail(name, "at most "+strconv.FormatFloat(most.Seconds(), 'f', -1, 64)+" seconds")
		return 0
	}
	return time.Duration(f * float64(time.Second))
}

// lasting returns a time that is given in seconds and is not none; 0 if it is not given.
func (p *params) lasting(name string, most time.Duration) time.Duration {
	d := p.seconds(name, most)
	if _, said := p.get(name); said && d <= 0 {
		p.fail(name, "a number of seconds above 0")
	}
	return d
}

// object returns an object; nil if there is none.
func (p *params) object(name string) json.RawMessage {
	v, ok := p.get(name)
	if !ok {
		return nil
	}
	if v[0] != '{' {
		p.fail(name, "an object")
		return nil
	}
	return v
}
