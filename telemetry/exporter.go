package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// ExporterConfig says where spans go.
type ExporterConfig struct {
	URL     string            // of a collector that speaks OTLP over HTTP; without a path it is /v1/traces there
	Headers map[string]string // of each request
	Version string            // of the gateway
	Log     *slog.Logger
}

const (
	spanQueue    = 2048             // spans that wait; more are dropped
	spanBatch    = 512              // spans that are sent at once
	spanDelay    = time.Second      // how long a span waits for others
	exportTime   = 10 * time.Second // for one request
	exportRetry  = 30 * time.Second // for one batch, with what is tried again
	complaints   = time.Minute      // between two lines of the log about the same
	exporterName = "github.com/headgate/headgate/telemetry"
)

// Exporter sends spans to a collector, from a goroutine of its own: who has a span never waits. What the
// collector does not take in time is dropped, and so is what there is no room for. It may be used by many goroutines at once.
type Exporter struct {
	client   otlptrace.Client
	web      *http.Client
	log      *slog.Logger
	resource *resourcepb.Resource
	scope    *commonpb.InstrumentationScope
	queue    chan *tracepb.Span
	dropped  atomic.Int64 // since the log spoke of it last
	closing  chan struct{}
	ended    chan struct{}
	lost     error     // the failure that the log has not spoken of; used by run only
	spoke    time.Time // when it did; likewise
}

// NewExporter returns an exporter, which must be closed. It connects to nobody before there is a span, and takes nothing
// from the process's environment but proxies.
func NewExporter(ctx context.Context, cfg ExporterConfig) (*Exporter, error) {
	at, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("address of the collector: %w", err)
	}
	if at.Path == "" || at.Path == "/" {
		at.Path = "/v1/traces"
	}
	headers := cfg.Headers
	if headers == nil {
		headers = map[string]string{}
	}
	web := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // headers are for this collector
		Timeout:       exportTime,
	}
	client := otlptracehttp.NewClient(
		otlptracehttp.WithEndpointURL(at.String()), otlptracehttp.WithHeaders(headers), otlptracehttp.WithCompression(otlptracehttp.NoCompression),
		otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf), otlptracehttp.WithTLSClientConfig(nil), otlptracehttp.WithHTTPClient(web),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: exportTime, MaxElapsedTime: exportRetry}),
	)
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("exporter of traces: %w", err)
	}
	e := &Exporter{
		client: client, web: web, log: cfg.Log, resource: resourceOf(cfg.Version), scope: &commonpb.InstrumentationScope{Name: exporterName, Version: cfg.Version},
		queue: make(chan *tracepb.Span, spanQueue), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	go e.run(context.WithoutCancel(ctx))
	return e, nil
}

// resourceOf says who sends the spans: one process.
func resourceOf(version string) *resourcepb.Resource {
	var instance [8]byte
	_, _ = rand.Read(instance[:]) // it does not fail
	a := attributes{}
	a.text("service.name", "headgate")
	a.text("service.version", version)
	a.text("service.instance.id", hex.EncodeToString(instance[:]))
	return &resourcepb.Resource{Attributes: a.list}
}

// Export takes a span, or drops it if there is no room.
func (e *Exporter) Export(s *tracepb.Span) {
	select {
	case e.queue <- s:
	default:
		e.dropped.Add(1)
	}
}

// Close sends what waits, for ten seconds at most and no longer than ctx lasts, and ends the exporter. What is exported after
// that is lost.
func (e *Exporter) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	close(e.closing)
	select {
	case <-e.ended:
		return nil
	case <-ctx.Done():
		_ = e.client.Stop(context.WithoutCancel(ctx)) // interrupts the request that is made; it has no other failure
		<-e.ended
		return fmt.Errorf("spans were not sent: %w", context.Cause(ctx))
	}
}

// run sends what comes, in batches.
func (e *Exporter) run(ctx context.Context) {
	defer close(e.ended)
	defer e.web.CloseIdleConnections()
	var batch []*tracepb.Span
	due := time.NewTimer(spanDelay)
	defer due.Stop()
	for {
		var flush bool
		select {
		case s := <-e.queue:
			batch = append(batch, s)
			flush = len(batch) == spanBatch
		case <-due.C:
			flush = true
		case <-e.closing:
			e.rest(ctx, batch)
			return
		}
		if flush {
			e.send(ctx, batch)
			batch = nil
			due.Reset(spanDelay)
		}
	}
}

// rest sends what is left when the exporter ends.
func (e *Exporter) rest(ctx context.Context, batch []*tracepb.Span) {
	ctx, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	for {
		select {
		case s := <-e.queue:
			if batch = append(batch, s); len(batch) == spanBatch {
				e.send(ctx, batch)
				batch = nil
			}
		default:
			e.send(ctx, batch)
			e.spoke = time.Time{} // there will be no later
			e.complain(ctx)
			return
		}
	}
}

// send sends a batch. What the collector does not take is lost.
func (e *Exporter) send(ctx context.Context, batch []*tracepb.Span) {
	if len(batch) > 0 {
		err := e.client.UploadTraces(ctx, []*tracepb.ResourceSpans{{
			Resource: e.resource, ScopeSpans: []*tracepb.ScopeSpans{{Scope: e.scope, Spans: batch}},
		}})
		if err != nil {
			e.lost = err
			e.dropped.Add(int64(len(batch)))
		}
	}
	e.complain(ctx)
}

// complain tells the log what was lost, once in a while.
func (e *Exporter) complain(ctx context.Context) {
	if e.lost == nil && e.dropped.Load() == 0 || time.Since(e.spoke) < complaints {
		return
	}
	attrs := []slog.Attr{slog.Int64("spans", e.dropped.Swap(0))}
	if e.lost != nil {
		attrs = append(attrs, slog.String("error", e.lost.Error()))
	}
	e.log.LogAttrs(ctx, slog.LevelWarn, "traces: spans were lost", attrs...)
	e.lost, e.spoke = nil, time.Now()
}
