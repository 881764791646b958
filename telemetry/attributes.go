package telemetry

import (
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
)

// attributes are those of one span, event or link. What is empty is left out.
type attributes struct {
	list []*commonpb.KeyValue
	room []textAttribute
}

// textAttribute is an attribute in one piece. Spans have many.
type textAttribute struct {
	pair  commonpb.KeyValue
	value commonpb.AnyValue
	text  commonpb.AnyValue_StringValue
}

// attributesOf makes room for a number of attributes.
func attributesOf(n int) attributes {
	return attributes{list: make([]*commonpb.KeyValue, 0, n), room: make([]textAttribute, n)}
}

func (a *attributes) text(key, value string) {
	if value == "" {
		return
	}
	if len(a.room) == 0 {
		a.room = make([]textAttribute, 1)
	}
	one := &a.room[0]
	a.room = a.room[1:]
	one.text.StringValue, one.value.Value = value, &one.text
	one.pair.Key, one.pair.Value = key, &one.value
	a.list = append(a.list, &one.pair)
}

func (a *attributes) number(key string, n int64) {
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: n}})
}

func (a *attributes) seconds(key string, d time.Duration) {
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: d.Seconds()}})
}

func (a *attributes) add(key string, value *commonpb.AnyValue) {
	a.list = append(a.list, &commonpb.KeyValue{Key: key, Value: value})
}
