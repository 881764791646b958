package wire_test

import (
	"fmt"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// TestGenerated judges messages of a generator that knows what readers differ about.
func TestGenerated(t *testing.T) {
	t.Parallel()
	reader := startNode(t)
	const each = 10_000
	for _, tt := range []struct {
		name          string
		hazards       int
		atLeast, most int // of a hundred that are accepted
	}{
		{"clean", 0, 100, 100},
		{"few hazards", 300, 50, 95},
		{"many hazards", 40, 5, 60},
	} {
		accepted := 0
		for seed := range uint64(each) {
			g := newGenerator(seed, tt.hazards)
			body := g.message()
			ok := judge(t, reader, fmt.Sprintf("%s, seed %d", tt.name, seed), body)
			if ok {
				accepted++
			}
			if !ok && !g.tampered {
				_, err := rpc.Parse(body, rpc.Limits{})
				t.Errorf("%s, seed %d: %.300q was refused: %v", tt.name, seed, body, err)
			}
		}
		share := accepted * 100 / each
		t.Logf("%s: %d of %d accepted", tt.name, accepted, each)
		if share < tt.atLeast || share > tt.most {
			t.Errorf("%s: %d %% were accepted, want %d to %d: the generator has lost its aim", tt.name, share, tt.atLeast, tt.most)
		}
	}
}

// TestReadersDiffer shows that the judges are awake: they do not agree about messages
// that the codec refuses.
func TestReadersDiffer(t *testing.T) {
	t.Parallel()
	reader := startNode(t)
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}`,
		`{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"x"},"PARAMS":{"name":"y"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"x","NAME":"y"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"a","paramſ":{"name":"x"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"\ud800"}}`,
		`{"jsonrpc":"2.0","id":"\udc00","method":"a"}`,
	} {
		if _, err := rpc.Parse([]byte(body), rpc.Limits{}); err == nil {
			t.Errorf("accepted %q", body)
		}
		standard, err := byStandard([]byte(body))
		if script, ok := reader.read(t, []byte(body)); err == nil && ok && standard.rounded() == script {
			t.Errorf("all read %q as %+v", body, standard)
		}
	}
}
