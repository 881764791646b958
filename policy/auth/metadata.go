package auth

import "net/url"

// metadataAddresses returns where an issuer's metadata can be, in the order to look
// (MCP 2026-07-28, Authorization Server Metadata Discovery; RFC 8414 §3.1, OpenID
// Connect Discovery 1.0 §4).
func metadataAddresses(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return nil
	}
	const oauth, openID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	at := func(path string) string {
		v := url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}
		return v.String()
	}
	if u.Path == "" || u.Path == "/" {
		return []string{at(oauth), at(openID)}
	}
	return []string{at(oauth + u.Path), at(openID + u.Path), at(u.Path + openID)}
}
