package rpc_test

import (
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
)

func TestIdentitiesOfPrincipals(t *testing.T) {
	t.Parallel()
	seen := map[string]rpc.Principal{}
	for _, p := range []rpc.Principal{
		{},
		{Org: "ab"},
		{Team: "ab"},
		{Key: "ab"},
		{User: "ab"},
		{Org: "a", Team: "b"},
		{Org: "a", Key: "b"},
		{Team: "a", Key: "b"},
		{Key: "a", User: "b"},
		{Org: "a\x00b"},
		{Org: "a\x01b"},
		{Org: "a", Team: "\x01b"},
	} {
		text := string(p.AppendIdentity(nil))
		if other, taken := seen[text]; taken {
			t.Errorf("%+v is taken for %+v", p, other)
		}
		seen[text] = p
		p.Scopes, p.Expires = []string{"mcp:*"}, time.Now()
		if renewed := string(p.AppendIdentity(nil)); renewed != text {
			t.Errorf("%+v is another one with a new credential", p)
		}
	}
}
