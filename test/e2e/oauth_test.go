package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
	"github.com/headgate/headgate/test/peer"
)

// withProvider runs a gateway that takes the tokens of a real identity provider.
func withProvider(t *testing.T, introspects bool) (g *gateway.Gateway, issuer string) {
	t.Helper()
	issuer = peer.Provider(t).URL
	_, server := fakeUpstream(t, fake.Config{Name: "one", Eras: fake.Legacy | fake.Modern})
	addr := freeAddress(t)
	section := fmt.Sprintf("  jwt: [{issuer: %q, allow_private: true}]\n", issuer)
	if introspects {
		section = fmt.Sprintf("  introspection: [{url: \"%[1]s/token/introspection\", issuer: %[1]q, client_id: gateway, client_secret: secret of gateway, "+
			"audience: \"http://%[2]s/mcp/opaque\", cache: 0s, claims: {user: client_id}, allow_private: true}]\n", issuer, addr)
	}
	return startGateway(t, fmt.Sprintf("listen: %s\nauth:\n  resource: http://%s\n  scopes: [\"mcp:*\"]\n%supstreams:\n", addr, addr, section)+httpUpstream("one", server)), issuer
}

// document reads a JSON document.
func document(t *testing.T, address string) map[string]any {
	t.Helper()
	res := attempt(t, http.MethodGet, address, nil)
	var doc map[string]any
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", address, res.Status, err)
	}
	return doc
}

// tokenOf asks the provider for a token by a client's own credentials.
func tokenOf(t *testing.T, endpoint, client, resource, scope string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {resource}, "scope": {scope}}
	res, body := ask(t, endpoint, client, form)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Token == "" {
		t.Fatalf("token: %s: %s", res.Status, body)
	}
	return answer.Token
}

// ask sends a form to the provider as one of its clients.
func ask(t *testing.T, endpoint, client string, form url.Values) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, url.QueryEscape("secret of "+client))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// challenged returns the parameters of a challenge.
func challenged(res *http.Response) map[string]string {
	out := map[string]string{}
	for _, part := range regexp.MustCompile(`([a-z_]+)="([^"]*)"`).FindAllStringSubmatch(res.Header.Get("WWW-Authenticate"), -1) {
		out[part[1]] = part[2]
	}
	return out
}

// The way of a client that knows nothing but the gateway's address: from the 401 to the
// metadata, to the provider, to a token, to a call; and what does not lead there.
func TestOAuthFromDiscoveryToCall(t *testing.T) {
	t.Parallel()
	g, issuer := withProvider(t, false)
	r := &raw{t: t, url: endpoint(g, "/mcp")}
	list, fields := modernList()

	res, _ := r.post(list, fields)
	challenge := challenged(res)
	if res.StatusCode != http.StatusUnauthorized || challenge["scope"] != "mcp:*" || challenge["error"] != "" {
		t.Fatalf("without a token: %s %v", res.Status, res.Header)
	}
	resource := document(t, challenge["resource_metadata"])
	servers, _ := resource["authorization_servers"].([]any)
	if resource["resource"] != r.url || len(servers) != 1 || servers[0] != issuer {
		t.Fatalf("metadata %v", resource)
	}
	provider := document(t, issuer+"/.well-known/oauth-authorization-server")
	at, _ := provider["token_endpoint"].(string)

	good := tokenOf(t, at, "robot", r.url, "mcp:*")
	if res, body := r.post(list, as(good, fields)); res.StatusCode != http.StatusOK {
		t.Errorf("with a token: %s: %s", res.Status, body)
	}
	session := openSession(t, r.url, good)
	call := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"one__echo","arguments":{"text":"let in"}}}`
	if res, body := r.post(call, as(good, map[string]string{"Mcp-Session-Id": session})); !strings.Contains(message(res, body), "let in") {
		t.Errorf("a call: %s: %s", res.Status, body)
	}

	for name, tt := range map[string]struct {
		client, resource, scope string
		status                  int
		code, description       string
	}{
		"expired":            {"late", r.url, "mcp:*", 401, "invalid_token", "it has expired"},
		"wrong audience":     {"robot", "https://other.example.com/mcp", "mcp:*", 401, "invalid_token", "it is meant for somebody else"},
		"another endpoint's": {"robot", endpoint(g, "/mcp/one"), "mcp:*", 401, "invalid_token", "it is meant for somebody else"},
		"without a scope":    {"mute", r.url, "mcp:*", 403, "insufficient_scope", ""},
	} {
		token := tokenOf(t, at, tt.client, tt.resource, tt.scope)
		res, body := r.post(list, as(token, fields))
		got := challenged(res)
		if res.StatusCode != tt.status || got["error"] != tt.code || got["error_description"] != tt.description ||
			got["scope"] != "mcp:*" || got["resource_metadata"] != challenge["resource_metadata"] || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s %v: %s", name, res.Status, res.Header, body)
		}
	}
	narrow := tokenOf(t, at, "robot", r.url, "mcp:tools/list")
	if res, body := r.post(list, as(narrow, fields)); res.StatusCode != http.StatusOK {
		t.Errorf("a scope for it: %s: %s", res.Status, body)
	}
	modernCall := strings.Replace(list, `tools/list","params":{`, `tools/call","params":{"name":"one__echo","arguments":{},`, 1)
	if res, body := r.post(modernCall, as(narrow, modernHeaders("tools/call", "one__echo"))); res.StatusCode != http.StatusForbidden || challenged(res)["error"] != "insufficient_scope" {
		t.Errorf("a scope for something else: %s: %s", res.Status, body)
	}
	if res, body := (&raw{t: t, url: endpoint(g, "/mcp/one")}).post(list, as(tokenOf(t, at, "robot", endpoint(g, "/mcp/one"), "mcp:*"), fields)); res.StatusCode != http.StatusOK {
		t.Errorf("another endpoint with its own token: %s: %s", res.Status, body)
	}
	forged := good[:len(good)-6] + "AAAAAA"
	if res, _ := r.post(list, as(forged, fields)); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forged token: %s", res.Status)
	}
}

// Tokens that say nothing by themselves are asked about, and end when the provider says
// so.
func TestOAuthByIntrospection(t *testing.T) {
	t.Parallel()
	g, issuer := withProvider(t, true)
	r := &raw{t: t, url: endpoint(g, "/mcp")}
	list, fields := modernList()
	token := tokenOf(t, issuer+"/token", "robot", r.url+"/opaque", "mcp:*")
	if strings.Count(token, ".") == 2 {
		t.Fatalf("the token says something: %s", token)
	}
	if res, body := r.post(list, as(token, fields)); res.StatusCode != http.StatusOK {
		t.Errorf("with a token: %s: %s", res.Status, body)
	}
	elsewhere := tokenOf(t, issuer+"/token", "robot", "https://other.example.com/opaque", "mcp:*")
	if res, body := r.post(list, as(elsewhere, fields)); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a token for somebody else: %s: %s", res.Status, body)
	}
	if res, body := ask(t, issuer+"/token/revocation", "robot", url.Values{"token": {token}}); res.StatusCode != http.StatusOK {
		t.Fatalf("revocation: %s: %s", res.Status, body)
	}
	res, body := r.post(list, as(token, fields))
	if res.StatusCode != http.StatusUnauthorized || challenged(res)["error"] != "invalid_token" {
		t.Errorf("with a revoked token: %s: %s", res.Status, body)
	}
}

// go-sdk's client finds its way in by itself: it registers, and sends a person with a
// browser to the provider.
func TestOAuthClientOfGoSDKGetsIn(t *testing.T) {
	t.Parallel()
	g, _ := withProvider(t, false)
	const callback = "http://127.0.0.1:8975/callback"
	person, err := sdkauth.NewAuthorizationCodeHandler(&sdkauth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &sdkauth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "a client", RedirectURIs: []string{callback}, TokenEndpointAuthMethod: "none",
		}},
		RedirectURL: callback, Client: http.DefaultClient,
		AuthorizationCodeFetcher: func(ctx context.Context, args *sdkauth.AuthorizationArgs) (*sdkauth.AuthorizationResult, error) {
			return logIn(ctx, args.URL, callback)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		client := gosdk.NewClient(&gosdk.Implementation{Name: "foreign", Version: "1"}, nil)
		session, err := client.Connect(t.Context(), &gosdk.StreamableClientTransport{Endpoint: endpoint(g, "/mcp"), OAuthHandler: person},
			&gosdk.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Errorf("%s: %v", version, err)
			continue
		}
		got, err := session.CallTool(t.Context(), &gosdk.CallToolParams{Name: "one__echo", Arguments: map[string]any{"text": "let in"}})
		if err != nil || !strings.Contains(jsonOf(t, got), "let in") {
			t.Errorf("%s: %s, %v", version, jsonOf(t, got), err)
		}
		_ = session.Close()
	}
}

// logIn does what a person does in a browser until the provider sends him back to the
// client: he fills in the provider's forms.
func logIn(ctx context.Context, address, callback string) (*sdkauth.AuthorizationResult, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	var back *url.URL
	browser := &http.Client{Jar: jar, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), callback) {
			back = req.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	prompt := regexp.MustCompile(`name="prompt" value="([a-z]+)"`)
	action := regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	visit := func(req *http.Request, err error) (string, error) {
		if err != nil {
			return "", err
		}
		res, err := browser.Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode >= http.StatusBadRequest {
			err = fmt.Errorf("%s: %s: %s", req.URL, res.Status, text)
		}
		return string(text), err
	}
	page, err := visit(http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody))
	for range 4 {
		if err != nil {
			return nil, err
		}
		if back != nil {
			q := back.Query()
			return &sdkauth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
		}
		to, kind := action.FindStringSubmatch(page), prompt.FindStringSubmatch(page)
		if to == nil || kind == nil {
			return nil, fmt.Errorf("no form: %s", page)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, to[1], strings.NewReader(url.Values{"prompt": {kind[1]}, "login": {"ann"}, "password": {"any"}}.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if page, err = visit(req, err); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the forms have no end")
}
