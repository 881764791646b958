package embedded

import (
	"math"
	"math/bits"
)

// portion returns a*b/c rounded down, and what is too large as the largest number.
// None is negative, and c is not zero.
func portion(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return quotient(hi, lo, uint64(c))
}

// portionUp is portion rounded up.
func portionUp(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, uint64(c)-1, 0)
	return quotient(hi+carry, lo, uint64(c))
}

func quotient(hi, lo, c uint64) int64 {
	if hi >= c {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, c)
	return int64(min(q, math.MaxInt64))
}

// sum returns a+b, and what is too large as the largest number. Neither is negative.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
