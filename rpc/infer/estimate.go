package infer

import (
	"math"
	"sync"
)

// bytesPerToken is what a token of text takes up, about, in most languages and vocabularies.
const bytesPerToken = 4

// EstimateTokens guesses how many tokens a text of so many bytes is: at least 1.
func EstimateTokens(bytes int) int64 { return max(1, (int64(bytes)+bytesPerToken-1)/bytesPerToken) }

// Estimator guesses how many tokens prompts are, and gets better at it with each one of which somebody has counted them.
// It may be used by many goroutines at once. The zero Estimator is ready.
type Estimator struct {
	mu      sync.RWMutex
	factors map[string]float64 // of models, by which a guess was wrong
}

// Bounds of what an estimator learns: how fast, how far, of how many models.
const (
	learning  = 0.1
	maxFactor = 8
	maxModels = 4096
)

// Tokens guesses how many tokens a text of so many bytes is to a model.
func (e *Estimator) Tokens(model string, bytes int) int64 {
	e.mu.RLock()
	factor, known := e.factors[model]
	e.mu.RUnlock()
	guess := EstimateTokens(bytes)
	if !known {
		return guess
	}
	return max(1, int64(math.Ceil(float64(guess)*factor)))
}

// Observe tells how many tokens a text was.
func (e *Estimator) Observe(model string, bytes int, tokens int64) {
	if bytes <= 0 || tokens <= 0 {
		return
	}
	ratio := min(max(float64(tokens)/float64(EstimateTokens(bytes)), 1.0/maxFactor), maxFactor)
	e.mu.Lock()
	defer e.mu.Unlock()
	factor, known := e.factors[model]
	switch {
	case known:
		ratio = factor + learning*(ratio-factor)
	case len(e.factors) >= maxModels:
		return
	case e.factors == nil:
		e.factors = make(map[string]float64)
	}
	e.factors[model] = ratio
}
