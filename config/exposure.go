package config

import (
	"fmt"
	"net"
	"net/netip"
)

// CheckExposure refuses listen addresses that other machines can reach where no credentials are asked for: whoever can connect may use
// every upstream, or see and stop what others do. Call it after flags were applied. The error is [Problems].
func (c *Config) CheckExposure() error {
	var problems Problems
	for _, l := range []struct {
		field, address string
		guarded        bool
		guard          string
	}{
		{"listen", c.Listen, c.Auth != nil, "say with auth who may call"},
		{"admin.listen", c.Admin.Listen, c.Admin.Token != "", "set admin.token and let a proxy speak HTTPS to the network"},
	} {
		if isLoopback(l.address) || l.guarded {
			continue
		}
		p := Problem{
			Field:   l.field,
			Message: fmt.Sprintf("other machines can reach %s %s, and no credentials are configured that would keep them out", l.field, l.address),
			Hint:    "listen on 127.0.0.1, or " + l.guard,
		}
		if o := c.origins[l.field]; o.value == l.address {
			p.Position = o.at
		}
		problems = append(problems, p)
	}
	return problems.asError()
}

// isLoopback reports whether only this machine can reach the address. Names other than localhost may resolve to anything.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
