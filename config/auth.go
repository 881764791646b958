package config

import (
	"log/slog"
	"time"
)

// Auth says who may call and how they prove it. A configuration without it lets everybody on loopback do everything.
type Auth struct {
	// This gateway's own address as clients know it, without the endpoint's path: https://gateway.example.com for clients of
	// https://gateway.example.com/mcp. Tokens are checked to be meant for it, and clients learn from it where to get one.
	Resource string `yaml:"resource" check:"resource"`
	// Keys that clients send as "Authorization: Bearer KEY" or "X-Api-Key: KEY". Those that "headgate keys create" makes are in data_dir
	// instead and need no line here.
	Keys []APIKey `yaml:"keys"`
	// Issuers whose signed tokens are accepted.
	JWT []JWT `yaml:"jwt"`
	// Servers that are asked about tokens (RFC 7662). The first one that calls a token active decides.
	Introspection []Introspection `yaml:"introspection"`
	// Who the bearers of client certificates are. Certificates are those of tls.client_ca; the first entry that fits decides.
	Certificates []Certificate `yaml:"certificates"`
	// Who a client without any credential is; deny refuses it. A wrong credential is refused in any case.
	Anonymous *Anonymous `yaml:"anonymous" word:"deny"`
	// Scopes that clients without a token are told to ask their authorization server for.
	Scopes []string `yaml:"scopes" check:"scope"`
}

// APIKey is a secret that a client has. Either the key itself or its hash is set.
type APIKey struct {
	// Position is where the entry is.
	Position Position `yaml:"-"`

	// The key's name, for rules, limits and the log.
	ID string `yaml:"id" check:"key id"`
	// The key itself, at least 16 characters. A value file:PATH is read from that file.
	Key Secret `yaml:"key" check:"api key" secret:"file,required"`
	// The key's SHA-256 instead: sha256: and 64 hexadecimal digits, as "headgate keys create" prints it.
	Hash string `yaml:"hash" check:"key hash"`
	// The organisation that its bearer belongs to.
	Org string `yaml:"org" check:"filled"`
	// The team.
	Team string `yaml:"team" check:"filled"`
	// The user.
	User string `yaml:"user" check:"filled"`
	// What it may be used for, such as mcp:* or mcp:tools/*.
	Scopes []string `yaml:"scopes" check:"scope"`

	// Disabled says why this key is switched off; empty when it is not.
	Disabled string `yaml:"-"`
}

// LogValue returns the name and the position only.
func (k APIKey) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", k.ID), slog.String("at", k.Position.String()))
}

// JWT is an issuer of signed tokens. Its keys are found through jwks_uri, key or secret; without any of them through the issuer's metadata.
type JWT struct {
	// Position is where the entry is.
	Position Position `yaml:"-"`

	// The issuer: exactly what its tokens have as iss.
	Issuer string `yaml:"issuer" check:"filled"`
	// What its tokens must have among their aud. Left out, that is the address of the endpoint that is used, or auth.resource.
	Audience string `yaml:"audience" check:"filled"`
	// Where the issuer's public keys are.
	JWKSURI string `yaml:"jwks_uri" check:"https"`
	// The issuer's public key or certificate instead, PEM; usually file:PATH.
	Key Secret `yaml:"key" secret:"file,required"`
	// The secret that the issuer signs with by HMAC instead, at least 32 characters.
	Secret Secret `yaml:"secret" check:"hmac secret" secret:"file,required"`
	// The signature algorithms that are accepted. Left out, those that fit the kind of key.
	Algorithms []string `yaml:"algorithms" enum:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA,HS256,HS384,HS512" items:"some"`
	// Which claims say who the bearer is.
	Claims Claims `yaml:"claims"`
	// The issuer's hosts may be private addresses, and be reached over plain http.
	AllowPrivate bool `yaml:"allow_private"`
}

// Claims names the members of a token, or of an introspection's answer, that say who its bearer is. A dot leads into an object, unless the name
// with the dot is there itself.
type Claims struct {
	// The claim with the organisation.
	Org string `yaml:"org" check:"filled"`
	// The claim with the team.
	Team string `yaml:"team" check:"filled"`
	// The claim with the user.
	User string `yaml:"user" check:"filled"`
	// The claim with the scopes: a list, or text with spaces between them.
	Scopes string `yaml:"scopes" check:"filled"`
}

// Introspection is a server that is asked about tokens.
type Introspection struct {
	// Position is where the entry is.
	Position Position `yaml:"-"`

	// Where to ask.
	URL string `yaml:"url" check:"https"`
	// Who asks.
	ClientID string `yaml:"client_id" check:"filled"`
	// The secret of who asks. A value file:PATH is read from that file.
	ClientSecret Secret `yaml:"client_secret" secret:"file,required"`
	// How long an answer holds.
	Cache time.Duration `yaml:"cache" min:"0s" max:"10m"`
	// The issuer that clients are told to get a token from, if this server's tokens have one.
	Issuer string `yaml:"issuer" check:"filled"`
	// What tokens must have among their aud. Left out, that is the address of the endpoint that is used, or auth.resource.
	Audience string `yaml:"audience" check:"filled"`
	// Which members of the answer say who the bearer is.
	Claims Claims `yaml:"claims"`
	// The server's host may be a private address, and be reached over plain http.
	AllowPrivate bool `yaml:"allow_private"`
}

// Certificate says who the bearer of a client certificate is.
type Certificate struct {
	// Position is where the entry is.
	Position Position `yaml:"-"`

	// The name that the certificate must have: one of its DNS, URI or e-mail names, or without any of these its common name. "*" stands for
	// any characters. The name becomes the user.
	Name string `yaml:"name" check:"filled"`
	// The organisation that its bearer belongs to.
	Org string `yaml:"org" check:"filled"`
	// The team.
	Team string `yaml:"team" check:"filled"`
	// What it may be used for, such as mcp:* or mcp:tools/*.
	Scopes []string `yaml:"scopes" check:"scope"`
}

// Anonymous is who a client without any credential is.
type Anonymous struct {
	// The organisation.
	Org string `yaml:"org" check:"filled"`
	// The team.
	Team string `yaml:"team" check:"filled"`
	// What it may do, such as mcp:tools/*.
	Scopes []string `yaml:"scopes" check:"scope"`
}

// DefaultScope is what clients are told to ask for where the file does not say.
const DefaultScope = "mcp:*"

// defaultClaims are where tokens by the rules of RFC 9068 and answers by RFC 7662 have it. No rule names an organisation or a team.
func defaultClaims() Claims { return Claims{User: "sub", Scopes: "scope"} }
