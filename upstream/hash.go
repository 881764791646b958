package upstream

// HashOffset is where a hash begins: the offset basis of FNV-1a.
const HashOffset uint64 = 14695981039346656037

// HashOn goes on with a hash, FNV-1a: the same in each process, so that replicas of the gateway agree.
func HashOn(h uint64, text []byte) uint64 {
	for _, c := range text {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// Mix spreads the bits of a number over all of it: the finalizer of SplitMix64.
func Mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hash is that of one text.
func hash(text []byte) uint64 { return Mix(HashOn(HashOffset, text)) }
