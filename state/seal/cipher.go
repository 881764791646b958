package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
)

const (
	nonceLen = 24
	tagLen   = 16
)

// sealer is XAES-256-GCM (C2SP): AES-256-GCM under a key derived from the first
// half of a nonce of 192 bits, so that random nonces never run out.
type sealer struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // CMAC subkey (NIST SP 800-38B)
}

func newSealer(key Key) *sealer {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for another length of key
	}
	s := &sealer{block: block}
	block.Encrypt(s.k1[:], s.k1[:])
	var carry byte
	for i := len(s.k1) - 1; i >= 0; i-- {
		next := s.k1[i] >> 7
		s.k1[i] = s.k1[i]<<1 | carry
		carry = next
	}
	s.k1[len(s.k1)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), 0x87, 0))
	return s
}

// derive returns the cipher for a nonce.
func (s *sealer) derive(nonce []byte) cipher.AEAD {
	var key [keyLen]byte
	for i := range 2 {
		half := key[i*aes.BlockSize : (i+1)*aes.BlockSize]
		half[1], half[2] = byte(i+1), 'X'
		copy(half[4:], nonce[:12])
		subtle.XORBytes(half, half, s.k1[:])
		s.block.Encrypt(half, half)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for another length of key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for another size of block
	}
	return aead
}

// seal appends nonce and ciphertext to dst.
func (s *sealer) seal(dst, bind, plain []byte) []byte {
	dst = append(dst, make([]byte, nonceLen)...)
	nonce := dst[len(dst)-nonceLen:]
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return s.derive(nonce).Seal(dst, nonce[12:], plain, bind)
}

// open returns the plain text of nonce and ciphertext, which it overwrites.
func (s *sealer) open(bind, sealed []byte) ([]byte, error) {
	nonce, text := sealed[:nonceLen], sealed[nonceLen:]
	plain, err := s.derive(nonce).Open(text[:0], nonce[12:], text, bind)
	if err != nil {
		return nil, ErrInvalid
	}
	return plain, nil
}
