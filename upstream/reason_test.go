package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestCorner5_24_ReasonsHoldNoAddress(t *testing.T) {
	t.Parallel()
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 99}, Err: err}
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "refused"},
		{dial(os.NewSyscallError("read", syscall.ECONNRESET)), "closed the connection"},
		{dial(context.DeadlineExceeded), "in time"},
		{fmt.Errorf("10.1.2.3:99: %w", io.ErrUnexpectedEOF), "before the end of its answer"},
		{dial(&net.DNSError{Name: "secret.internal", Err: "no such host"}), "name"},
		{x509.UnknownAuthorityError{}, "certificate"},
		{fmt.Errorf("10.1.2.3: %w", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "10.1.2.3"}), "certificate"},
		{tls.RecordHeaderError{Msg: "10.1.2.3"}, "TLS"},
		{errors.New("10.1.2.3 is odd"), "failed"},
	} {
		got := Reason(test.err)
		if !strings.Contains(got, test.want) || strings.Contains(got, "10.1.2.3") || strings.Contains(got, "internal") {
			t.Errorf("%v: %s", test.err, got)
		}
	}
}
