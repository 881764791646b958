// Package names is a DNS server on loopback whose answers tests choose (RFC 1035). It knows addresses of IPv4 only, and answers over UDP.
package names

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Server is a DNS server. All its methods may be called concurrently.
type Server struct {
	socket net.PacketConn
	done   sync.WaitGroup

	mu    sync.Mutex
	names map[string]entry
	asked map[string]int
}

type entry struct {
	ttl   time.Duration
	addrs []netip.Addr
}

// Start runs a server until it is closed.
func Start() (*Server, error) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{socket: socket, names: map[string]entry{}, asked: map[string]int{}}
	s.done.Go(s.serve)
	return s, nil
}

// Close ends the server.
func (s *Server) Close() {
	_ = s.socket.Close()
	s.done.Wait()
}

// Set says where a name leads, and for how long that may be believed. Without addresses the server fails when it is asked.
func (s *Server) Set(name string, ttl time.Duration, addrs ...netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[strings.ToLower(name)] = entry{ttl, addrs}
}

// Asked returns how often a name was looked up.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[strings.ToLower(name)]
}

// Resolver returns a resolver that asks this server and no other.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: s.Dial}
}

// Dial connects to the server, whatever address is asked for, as [net.Resolver] wants it.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "udp", s.socket.LocalAddr().String())
}

func (s *Server) serve() {
	query := make([]byte, 1<<10)
	for {
		n, from, err := s.socket.ReadFrom(query)
		if err != nil {
			return
		}
		if answer := s.answer(query[:n]); answer != nil {
			_, _ = s.socket.WriteTo(answer, from)
		}
	}
}

// Parts of a message (RFC 1035 §4.1).
const (
	headSize = 12
	typeA    = 1
	noError  = 0x8180 // a response, recursion available
	failure  = 0x8182 // SERVFAIL
	unknown  = 0x8183 // NXDOMAIN
)

func (s *Server) answer(query []byte) []byte {
	name, end := question(query)
	if end == 0 {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[end-4:])
	s.mu.Lock()
	found, ok := s.names[name]
	if kind == typeA {
		s.asked[name]++
	}
	s.mu.Unlock()
	flags, addrs := uint16(noError), found.addrs
	switch {
	case !ok:
		flags = unknown
	case len(addrs) == 0:
		flags = failure
	}
	if kind != typeA {
		addrs = nil
	}
	out := append([]byte(nil), query[:2]...)
	out = binary.BigEndian.AppendUint16(out, flags)
	out = binary.BigEndian.AppendUint16(out, 1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(addrs)))
	out = append(out, 0, 0, 0, 0)
	out = append(out, query[headSize:end]...)
	for _, a := range addrs {
		out = append(out, 0xC0, headSize, 0, typeA, 0, 1) // the name is the one in the question
		out = binary.BigEndian.AppendUint32(out, uint32(found.ttl/time.Second))
		out = append(out, 0, 4)
		out = append(out, a.AsSlice()...)
	}
	return out
}

// question reads the name that is asked for, in lower case, and returns where the question ends; 0 if there is none.
func question(query []byte) (name string, end int) {
	var labels []string
	at := headSize
	for at < len(query) && query[at] != 0 {
		next := at + 1 + int(query[at])
		if next >= len(query) {
			return "", 0
		}
		labels = append(labels, string(query[at+1:next]))
		at = next
	}
	if at+5 > len(query) {
		return "", 0
	}
	return strings.ToLower(strings.Join(labels, ".")), at + 5
}
