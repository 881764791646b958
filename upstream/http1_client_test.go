package upstream_test

import (
	"net/url"
	"testing"

	"github.com/headgate/headgate/upstream"
)

func endpoint(tb testing.TB, rawURL string, fixed ...upstream.Field) *upstream.Endpoint {
	tb.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := upstream.NewEndpoint(u, fixed)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}
