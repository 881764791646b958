package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
)

// Bounds of what is sent to a collector.
const (
	logQueue  = 4096 // lines that wait; of more the oldest are lost
	logBatch  = 512
	logDelay  = time.Second
	sendTime  = 10 * time.Second // for one batch, with what is tried again
	sendPause = time.Minute      // between two lines of the log about the same
)

// logExport sends lines to a collector, from a goroutine of its own.
type logExport struct {
	slog.Handler
	provider *sdklog.LoggerProvider
}

// openLogExport connects to nobody before there is a line. What cannot be sent is lost, which aside is told.
func openLogExport(ctx context.Context, c LogConfig, aside *slog.Logger) (*logExport, error) {
	at, err := url.Parse(c.OTLP)
	if err != nil {
		return nil, fmt.Errorf("address of the collector: %w", err)
	}
	if at.Path == "" || at.Path == "/" {
		at.Path = "/v1/logs"
	}
	web := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       sendTime,
	}
	sender, err := otlploghttp.New(
		ctx, otlploghttp.WithEndpointURL(at.String()), otlploghttp.WithHeaders(map[string]string{}), otlploghttp.WithHTTPClient(web),
		otlploghttp.WithCompression(otlploghttp.GzipCompression),
		otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: sendTime, MaxElapsedTime: sendTime}),
	)
	if err != nil {
		return nil, fmt.Errorf("exporter of logs: %w", err)
	}
	batches := sdklog.NewBatchProcessor(
		&complaining{Exporter: sender, log: aside}, sdklog.WithMaxQueueSize(logQueue), sdklog.WithExportMaxBatchSize(logBatch),
		sdklog.WithExportInterval(logDelay), sdklog.WithExportTimeout(sendTime),
	)
	about := resource.NewSchemaless(attribute.String("service.name", "headgate"), attribute.String("service.version", c.Version))
	provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(batches), sdklog.WithResource(about), sdklog.WithAttributeCountLimit(-1))
	handler := otelslog.NewHandler("github.com/headgate/headgate/telemetry", otelslog.WithLoggerProvider(provider), otelslog.WithVersion(c.Version))
	return &logExport{Handler: levelled{handler, aside.Handler()}, provider: provider}, nil
}

// close sends what waits, for as long as one batch may take and no longer than ctx lasts.
func (e *logExport) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return e.provider.Shutdown(ctx)
}

// levelled takes what another handler takes.
type levelled struct {
	slog.Handler
	as slog.Handler
}

// Enabled implements [slog.Handler].
func (l levelled) Enabled(ctx context.Context, level slog.Level) bool {
	return l.as.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (l levelled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelled{l.Handler.WithAttrs(attrs), l.as}
}

// WithGroup implements [slog.Handler].
func (l levelled) WithGroup(name string) slog.Handler {
	return levelled{l.Handler.WithGroup(name), l.as}
}

// complaining says, once in a while, that lines were lost. What it says is not sent itself.
type complaining struct {
	sdklog.Exporter
	log   *slog.Logger
	lost  atomic.Int64
	spoke atomic.Int64 // when it did, in nanoseconds since 1970
}

// Export implements [sdklog.Exporter].
func (c *complaining) Export(ctx context.Context, records []sdklog.Record) error {
	err := c.Exporter.Export(ctx, records)
	if err == nil {
		return nil
	}
	c.lost.Add(int64(len(records)))
	now, before := time.Now().UnixNano(), c.spoke.Load()
	if now-before >= int64(sendPause) && c.spoke.CompareAndSwap(before, now) {
		c.log.WarnContext(ctx, "logs: lines were not sent", "lines", c.lost.Swap(0), "error", err)
	}
	return nil // it was said where it is read
}
