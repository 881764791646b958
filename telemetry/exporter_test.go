package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/headgate/headgate/telemetry"
)

// What removes old log files lasts as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}

// logged is a log that a test reads when whoever writes it has ended.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func exporter(t *testing.T, url string, log io.Writer, headers map[string]string) *telemetry.Exporter {
	t.Helper()
	e, err := telemetry.NewExporter(t.Context(), telemetry.ExporterConfig{
		URL: url, Headers: headers, Version: "test", Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func batchOf(t *testing.T, r *http.Request) *collectorpb.ExportTraceServiceRequest {
	var out collectorpb.ExportTraceServiceRequest
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	if err := proto.Unmarshal(body, &out); err != nil {
		t.Error(err)
	}
	return &out
}

// The environment of the process says nothing to the exporter: what is configured does.
func TestExporterTakesNothingFromTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x",
		"OTEL_EXPORTER_OTLP_HEADERS": "x-theirs=1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
		"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_SERVICE_NAME": "theirs", "OTEL_RESOURCE_ATTRIBUTES": "theirs=1", "OTEL_SDK_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	var got *collectorpb.ExportTraceServiceRequest
	var header http.Header
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, header = batchOf(t, r), r.Header
		if r.URL.Path != "/v1/traces" {
			t.Errorf("sent to %s", r.URL)
		}
	}))
	defer web.Close()
	var log logged
	e := exporter(t, web.URL+"/", &log, map[string]string{"X-Ours": "1"})
	e.Export(&tracepb.Span{Name: "one"})
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if header.Get("X-Ours") != "1" || header.Get("X-Theirs") != "" || header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("header %v", header)
	}
	resource := got.GetResourceSpans()[0]
	var attributes []string
	for _, a := range resource.GetResource().GetAttributes() {
		attributes = append(attributes, a.GetKey()+"="+a.GetValue().GetStringValue())
	}
	text := strings.Join(attributes, " ")
	if !strings.HasPrefix(text, "service.name=headgate service.version=test service.instance.id=") || len(attributes) != 3 {
		t.Errorf("resource %s", text)
	}
	if name := resource.GetScopeSpans()[0].GetSpans()[0].GetName(); name != "one" || log.String() != "" {
		t.Errorf("span %s; log %s", name, log.String())
	}
}

// What is exported before the exporter is closed arrives, however much it is.
func TestExporterSendsTheRestWhenItEnds(t *testing.T) {
	t.Parallel()
	const many = 1500
	n := 0
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n += len(batchOf(t, r).GetResourceSpans()[0].GetScopeSpans()[0].GetSpans())
	}))
	defer web.Close()
	var log logged
	e := exporter(t, web.URL+"/v1/traces", &log, nil)
	for range many {
		e.Export(&tracepb.Span{Name: "x"})
	}
	if err := e.Close(t.Context()); err != nil || n != many || log.String() != "" {
		t.Errorf("%d spans arrived, want %d: %v\n%s", n, many, err, log.String())
	}
}

// A collector that refuses, or hangs, costs spans and nothing else: who exports does not wait, what waits is bounded, and
// the log says so without a line for each.
func TestExporterLosesWhatNobodyTakes(t *testing.T) {
	t.Parallel()
	const many = 10_000
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request, over <-chan struct{}){
		"refuses": func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) { w.WriteHeader(http.StatusForbidden) },
		"redirects": func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		},
		"hangs": func(_ http.ResponseWriter, r *http.Request, over <-chan struct{}) {
			select {
			case <-r.Context().Done():
			case <-over:
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				answer(w, r, over)
			}))
			defer web.Close()
			defer close(over)
			var log logged
			e := exporter(t, web.URL, &log, nil)
			for range many {
				e.Export(&tracepb.Span{Name: "x"})
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_ = e.Close(ctx)
			if lines := strings.Count(log.String(), "\n"); lines < 1 || lines > 2 || !strings.Contains(log.String(), "spans were lost") {
				t.Errorf("the log has %d lines:\n%s", lines, log.String())
			}
		})
	}
}

func TestExporterWithoutACollector(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	web.Close() // nobody listens there any more
	var log logged
	e := exporter(t, web.URL, &log, map[string]string{"Authorization": "Bearer s3cret"})
	e.Export(&tracepb.Span{Name: "x"})
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "spans=1") || strings.Contains(text, "s3cret") {
		t.Errorf("log: %s", text)
	}
}
