package e2e

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes spans by OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*tracepb.Span
	changed chan struct{} // closed and made anew whenever spans come
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{changed: make(chan struct{})}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/traces" {
			t.Errorf("export to %s", r.URL)
		}
		if err := c.take(r); err != nil {
			t.Errorf("export: %v", err)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) take(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var request collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// wait returns the spans once there are enough of them, sorted by when they began.
func (c *collector) wait(t *testing.T, enough func([]*tracepb.Span) bool) []*tracepb.Span {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		c.mu.Lock()
		spans, changed := slices.Clone(c.spans), c.changed
		c.mu.Unlock()
		if enough(spans) {
			slices.SortFunc(spans, func(a, b *tracepb.Span) int { return cmp.Compare(a.GetStartTimeUnixNano(), b.GetStartTimeUnixNano()) })
			return spans
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("the spans that came are too few:\n%s", picture(spans))
		}
	}
}

// count counts the spans of a name and kind.
func count(spans []*tracepb.Span, kind tracepb.Span_SpanKind, name string) (n int) {
	for _, s := range spans {
		if s.GetKind() == kind && s.GetName() == name {
			n++
		}
	}
	return n
}

// picture draws spans: each below its parent, without what is another one in each run.
func picture(spans []*tracepb.Span) string {
	p := painter{spans: spans, names: map[string]string{}}
	for i, s := range spans {
		p.names[string(s.GetSpanId())] = fmt.Sprintf("%d", i+1)
		if _, known := p.names[string(s.GetTraceId())]; !known {
			p.names[string(s.GetTraceId())] = string(rune('A' + p.traces))
			p.traces++
		}
	}
	for _, s := range spans {
		if _, ours := p.names[string(s.GetParentSpanId())]; !ours {
			p.draw(s, "")
		}
	}
	return p.out.String()
}

type painter struct {
	spans  []*tracepb.Span
	names  map[string]string // by id, of spans and traces
	traces int
	out    strings.Builder
}

func (p *painter) draw(s *tracepb.Span, indent string) {
	kind := strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_")
	fmt.Fprintf(&p.out, "%s%s %q trace=%s span=%s", indent, kind, s.GetName(), p.name(s.GetTraceId()), p.name(s.GetSpanId()))
	if parent := s.GetParentSpanId(); len(parent) > 0 {
		fmt.Fprintf(&p.out, " parent=%s", p.name(parent))
	}
	if s.GetTraceState() != "" {
		fmt.Fprintf(&p.out, " state=%s", s.GetTraceState())
	}
	fmt.Fprintf(&p.out, " flags=%x", s.GetFlags())
	if s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() {
		p.out.WriteString(" ENDS BEFORE IT BEGINS")
	}
	p.out.WriteByte('\n')
	indent += "    "
	p.attributes(indent, s.GetAttributes())
	if status := s.GetStatus(); status != nil {
		fmt.Fprintf(&p.out, "%sstatus %s %q\n", indent, strings.TrimPrefix(status.GetCode().String(), "STATUS_CODE_"), status.GetMessage())
	}
	for _, e := range s.GetEvents() {
		fmt.Fprintf(&p.out, "%sevent %s\n", indent, e.GetName())
		p.attributes(indent+"    ", e.GetAttributes())
	}
	for _, l := range s.GetLinks() {
		fmt.Fprintf(&p.out, "%slink trace=%s span=%s\n", indent, p.name(l.GetTraceId()), p.name(l.GetSpanId()))
		p.attributes(indent+"    ", l.GetAttributes())
	}
	for _, child := range p.spans {
		if string(child.GetParentSpanId()) == string(s.GetSpanId()) {
			p.draw(child, indent)
		}
	}
}

func (p *painter) name(id []byte) string {
	if name, ok := p.names[string(id)]; ok {
		return name
	}
	return hex.EncodeToString(id)
}

// varying are attributes whose value is another one in each run.
var varying = []string{"client.port", "server.port", "mcp.session.id", "headgate.event.duration", "headgate.queue.wait", "headgate.request.id"}

func (p *painter) attributes(indent string, list []*commonpb.KeyValue) {
	for _, a := range list {
		value := "…"
		if !slices.Contains(varying, a.GetKey()) {
			switch v := a.GetValue().GetValue().(type) {
			case *commonpb.AnyValue_StringValue:
				value = v.StringValue
			case *commonpb.AnyValue_IntValue:
				value = fmt.Sprint(v.IntValue)
			case *commonpb.AnyValue_BoolValue:
				value = fmt.Sprint(v.BoolValue)
			case *commonpb.AnyValue_ArrayValue:
				value = v.ArrayValue.GetValues()[0].GetStringValue() // of those that there are
			}
		}
		fmt.Fprintf(&p.out, "%s%s: %s\n", indent, a.GetKey(), value)
	}
}
