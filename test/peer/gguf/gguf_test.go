package gguf

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

func TestModelIsSmallAndTheSameEachTime(t *testing.T) {
	t.Parallel()
	var sums [2][32]byte
	for i := range sums {
		var out bytes.Buffer
		if err := Write(&out, 2); err != nil {
			t.Fatal(err)
		}
		if out.Len() < 400_000 || out.Len() > 600_000 {
			t.Errorf("%d bytes", out.Len())
		}
		if !bytes.HasPrefix(out.Bytes(), []byte("GGUF\x03\x00\x00\x00")) {
			t.Errorf("it begins with %q", out.Bytes()[:8])
		}
		sums[i] = sha256.Sum256(out.Bytes())
	}
	if sums[0] != sums[1] {
		t.Error("two models differ")
	}
}

// TestEachTokenIsThereOnce: an engine refuses a vocabulary with a token twice.
func TestEachTokenIsThereOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, token := range newVocabulary().tokens {
		if seen[token] {
			t.Errorf("%q is there twice", token)
		}
		seen[token] = true
	}
}
