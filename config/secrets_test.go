package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
)

func TestSecretsAreFoundWhereverTheyStand(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "headgate.yaml")
	if err := os.WriteFile(path, []byte(`version: 1
upstreams:
  one:
    url: "https://one.example.com/ghp_inThePathOfIt/mcp?tenant=12&api_key=in-the-query"
    headers: {Authorization: "Bearer in-a-header", X-Own: in-an-odd-header, Cookie: in-a-cookie, User-Agent: our-gateway, X-Basic: "Basic Ym9iOmluLWJhc2lj"}
  two:
    command: x
    args: [--token, behind-a-flag, --verbose, plain, API_KEY=in-an-assignment, sk-byItsLook0123456789, --mode=fast]
    env: {DB_PASSWORD: in-the-environment, MODE: fast, OTHER: glpat-byItsLook0123456789}
auth:
  keys: [{id: a, key: "a-key-of-32-characters-or-longer-than-that", scopes: ["mcp:*"]}]
  jwt: [{issuer: "https://idp.example.com", audience: x, secret: "an-hmac-secret-of-32-characters-or-longer"}]
  introspection: [{url: "https://idp.example.com/i", client_id: gateway, client_secret: of-a-client, audience: x}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ghp_inThePathOfIt", "in-the-query", "in-a-header", "in-an-odd-header", "in-a-cookie", "Ym9iOmluLWJhc2lj", "in-basic",
		"behind-a-flag", "in-an-assignment", "sk-byItsLook0123456789", "in-the-environment", "glpat-byItsLook0123456789",
		"an-hmac-secret-of-32-characters-or-longer", "of-a-client",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, cfg.Secrets()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
