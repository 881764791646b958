package seal

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The vectors published with XAES-256-GCM (C2SP).
func TestXAESVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key  byte
		aad  string
		want string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		s := newSealer(Key(bytes.Repeat([]byte{tt.key}, keyLen)))
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		got := s.derive(nonce).Seal(nil, nonce[12:], []byte("XAES-256-GCM"), []byte(tt.aad))
		if hex.EncodeToString(got) != tt.want {
			t.Errorf("key %d: %x, want %s", tt.key, got, tt.want)
		}
	}
}
