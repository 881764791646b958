package metrics

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Source gives a sink all that it knows now. It must not block, and may be asked by several goroutines at once.
type Source func(*Sink)

// Sink takes the values of series for one who looks.
type Sink struct{ out chan<- prometheus.Metric }

// Set says what the value of a series is. The labels are those of the definition, in its order.
func (s *Sink) Set(d *Definition, value float64, labels ...string) {
	kind := prometheus.GaugeValue
	if d.Kind == Counter {
		kind = prometheus.CounterValue
	}
	desc := prometheus.NewDesc(d.Series(), d.Help, d.LabelNames(), nil)
	m, err := prometheus.NewConstMetric(desc, kind, value, labels...)
	s.send(desc, m, err)
}

// distribution gives the sink a series of a histogram. A label without a value is left out, as OpenTelemetry does.
func (s *Sink) distribution(d *Definition, values []string, r reading) {
	desc, filled := described(d, values)
	m, err := prometheus.NewConstHistogram(desc, r.count, r.sum, r.buckets, filled...)
	s.send(desc, m, err)
}

// count gives the sink a series of a counter, likewise.
func (s *Sink) count(d *Definition, values []string, n float64) {
	desc, filled := described(d, values)
	m, err := prometheus.NewConstMetric(desc, prometheus.CounterValue, n, filled...)
	s.send(desc, m, err)
}

// described returns the description of a series with those labels that have a value, and these.
func described(d *Definition, values []string) (desc *prometheus.Desc, filled []string) {
	var names []string
	for i, name := range d.LabelNames() {
		if values[i] != "" {
			names, filled = append(names, name), append(filled, values[i])
		}
	}
	return prometheus.NewDesc(d.Series(), d.Help, names, nil), filled
}

// send passes a metric on, or why there is none: whoever looks is told of a series that is not as it was defined.
func (s *Sink) send(desc *prometheus.Desc, m prometheus.Metric, err error) {
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	s.out <- m
}

// Registry shows what sources know, and what the process and the Go runtime tell of themselves.
type Registry struct {
	sources []Source
	all     *prometheus.Registry
}

// NewRegistry returns a registry that asks sources.
func NewRegistry(sources ...Source) (*Registry, error) {
	r := &Registry{sources: sources, all: prometheus.NewPedanticRegistry()}
	return r, errors.Join(
		r.all.Register(collectors.NewGoCollector()),
		r.all.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		r.all.Register(r),
	)
}

// Describe implements [prometheus.Collector]. Nothing is promised beforehand: the labels of a series depend on its
// values.
func (r *Registry) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (r *Registry) Collect(out chan<- prometheus.Metric) {
	s := &Sink{out}
	for _, source := range r.sources {
		source(s)
	}
}

// Handler serves the exposition to one who scrapes it. A series that cannot be shown is left out and logged.
func (r *Registry) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(r.all, promhttp.HandlerOpts{
		ErrorLog: promLog{log}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4,
	})
}

// promLog passes complaints on to the log.
type promLog struct{ log *slog.Logger }

// Println implements [promhttp.Logger].
func (l promLog) Println(words ...any) { l.log.Error("a metric cannot be shown", "error", words) }
