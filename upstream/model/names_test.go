package model_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/upstream/model"
)

// knowing is a puppet that says which models it has.
type knowing struct {
	*puppet
	says func(ctx context.Context) ([]string, error)
}

func (k *knowing) Models(ctx context.Context) ([]string, error) {
	k.calls.Add(1)
	return k.says(ctx)
}

func TestTheModelsThatFitAGlob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(4, answersIn(0, 1, 0))
		has := []string{"small-1b", "large", "small-2b"}
		says := []func(context.Context) ([]string, error){
			func(context.Context) ([]string, error) { return has, nil },
			func(context.Context) ([]string, error) { return []string{"small-2b", "small-3b"}, nil },
			func(context.Context) ([]string, error) { return nil, errors.New("no") },
			func(ctx context.Context) ([]string, error) { <-ctx.Done(); return nil, ctx.Err() },
		}
		cfg := modelOf(of, 0, func(m *config.Model) { m.Name = "small-*" })
		silent := newPool(t, of, cfg)
		if got := silent.Names(); len(got) != 0 {
			t.Errorf("backends that say nothing have %v", got)
		}
		_ = silent.Close()
		p := poolOf(t, cfg, func(b config.ModelBackend) (model.Backend, error) {
			one, err := of.open(b)
			i := slices.Index(of, one.(*puppet)) //nolint:errcheck // it is one
			return &knowing{of[i], says[i]}, err
		})
		defer p.Close() //nolint:errcheck // nothing could fail
		want := []string{"small-1b", "small-2b", "small-3b"}
		var all sync.WaitGroup
		began := time.Now()
		for range 3 {
			all.Go(func() {
				if got := p.Names(); len(got) != 0 { // one hangs: those that wait do so for a while
					t.Errorf("before all are asked: %v", got)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("they waited %v", took)
		}
		time.Sleep(4 * time.Second)
		if got := p.Names(); !slices.Equal(got, want) {
			t.Errorf("they are %v", got)
		}
		if n := of[0].calls.Load(); n != 1 {
			t.Errorf("it was asked %d times", n)
		}
		has = nil
		time.Sleep(2 * time.Minute)
		if got := p.Names(); !slices.Equal(got, want) { // as they were, while it is asked again
			t.Errorf("later they are %v", got)
		}
		time.Sleep(6 * time.Second)
		if got := p.Names(); !slices.Equal(got, want[1:]) {
			t.Errorf("in the end they are %v", got)
		}
	})
}
