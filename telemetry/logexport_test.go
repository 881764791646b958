package telemetry

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes logs.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	path    string
	service map[string]string // of the resource
	records []*logspb.LogRecord
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Errorf("body: %v", err)
			return
		}
		text, err := io.ReadAll(body)
		var request collectorpb.ExportLogsServiceRequest
		if err != nil || proto.Unmarshal(text, &request) != nil {
			t.Errorf("no request: %v", err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.path = r.URL.Path
		for _, from := range request.GetResourceLogs() {
			c.service = texts(from.GetResource().GetAttributes())
			for _, scope := range from.GetScopeLogs() {
				c.records = append(c.records, scope.GetLogRecords()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

// texts are the attributes that are text.
func texts(attrs []*commonpb.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range attrs {
		if s, ok := a.GetValue().GetValue().(*commonpb.AnyValue_StringValue); ok {
			out[a.GetKey()] = s.StringValue
		}
	}
	return out
}

// What is logged reaches a collector, all of it when the log is closed, without secrets.
func TestLogsAreSent(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	var out sink
	l, err := OpenLogs(t.Context(), LogConfig{Level: "info", Format: "json", To: &out, OTLP: c.URL, Secrets: []string{"correct horse"}, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	span := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 1}))
	edge := l.With(Component("edge"))
	edge.DebugContext(span, "nobody wants to know")
	edge.WarnContext(span, "a line of correct horse", "password", "x", "n", 3, slog.Group("g", "k", "v"))
	for range 1000 {
		edge.Info("more")
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.records) != 1001 || c.path != "/v1/logs" {
		t.Fatalf("%d records at %s", len(c.records), c.path)
	}
	if want := map[string]string{"service.name": "headgate", "service.version": "1.2.3"}; !cmp.Equal(c.service, want) {
		t.Errorf("sent by %v", c.service)
	}
	r := c.records[0]
	if r.GetSeverityText() != "WARN" || r.GetBody().GetStringValue() != "a line of [redacted]" || r.GetTraceId()[0] != 1 || r.GetSpanId()[0] != 2 {
		t.Errorf("%v", r)
	}
	if got := texts(r.GetAttributes()); got["component"] != "edge" || got["password"] != redacted || len(r.GetAttributes()) != 4 {
		t.Errorf("%v", r.GetAttributes())
	}
	if lines, _ := out.lines(t); len(lines) != 1001 {
		t.Errorf("%d lines beside", len(lines))
	}
}

// A collector that is not there costs lines, of which the log speaks once, and nothing else.
func TestNobodyTakesLogs(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(gone.Close)
	var out sink
	l, err := OpenLogs(t.Context(), LogConfig{Level: "info", Format: "json", To: &out, OTLP: gone.URL})
	if err != nil {
		t.Fatal(err)
	}
	const many = 3 * logQueue
	for range many {
		l.Info("a line")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	lines, _ := out.lines(t)
	complaints := 0
	for _, each := range lines {
		if strings.HasPrefix(each, "logs: lines were not sent") {
			complaints++
		}
	}
	if complaints != 1 || len(lines) != many+1 {
		t.Errorf("%d complaints among %d lines", complaints, len(lines))
	}
}
