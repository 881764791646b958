package edge

import (
	"strings"
	"testing"
)

func TestParseAccept(t *testing.T) {
	t.Parallel()
	tests := []struct {
		header []string
		want   accepts
	}{
		{nil, accepts{json: true, stream: true}},
		{[]string{"application/json, text/event-stream"}, accepts{json: true, stream: true}},
		{[]string{"text/event-stream, application/json"}, accepts{json: true, stream: true, streamFirst: true}},
		{[]string{"application/json", "text/event-stream"}, accepts{json: true, stream: true}},
		{[]string{"text/event-stream"}, accepts{stream: true, streamFirst: true}},
		{[]string{"application/json"}, accepts{json: true}},
		{[]string{"*/*"}, accepts{json: true, stream: true}},
		{[]string{"TEXT/EVENT-STREAM;q=0.5,application/json;q=0.000"}, accepts{stream: true, streamFirst: true}},
		{[]string{"text/html"}, accepts{}},
		{[]string{""}, accepts{}},
	}
	for _, tt := range tests {
		if got := parseAccept(tt.header); got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.header, got, tt.want)
		}
	}
}

// How a list is spread over header fields means nothing (RFC 9110 §5.3).
func FuzzAcceptInFields(f *testing.F) {
	f.Add("application/json, text/event-stream;q=0, */*; q = 0.0")
	f.Add(",;,;;q,q=,;q==0,/;q=\"0\"")
	f.Fuzz(func(t *testing.T, list string) {
		one, many := parseAccept([]string{list}), parseAccept(strings.Split(list, ","))
		if one != many {
			t.Errorf("%q: %+v in one field, %+v in many", list, one, many)
		}
	})
}
