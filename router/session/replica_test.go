package session

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
)

// The id of a session says all there is to know, so that each replica that has the keys serves it, and to nobody else.
func TestCorner5_31_EveryReplicaKnowsASession(t *testing.T) {
	t.Parallel()
	keys := keyring(t)
	a, b := registry(t, Config{}, keys), registry(t, Config{}, keys)
	id := opened(t, a, client)
	here, there := resumed(t, a, id).Client(), resumed(t, b, id).Client()
	if diff := cmp.Diff(here, there); diff != "" {
		t.Error(diff)
	}
	c := call(resumed(t, b, id), &rpc.Method{}, nil)
	if _, err := b.find(c); err != nil {
		t.Errorf("its owner: %v", err)
	}
	c.Principal.User = "mallory"
	if _, err := b.find(c); !isUnknown(err) {
		t.Errorf("somebody else: %v", err)
	}
	if _, err := registry(t, Config{}, keyring(t)).Resume(id, "/mcp"); !isUnknown(err) {
		t.Errorf("without the keys: %v", err)
	}
}
