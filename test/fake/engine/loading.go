package engine

import "time"

// defaultKeepAlive is how long a model stays loaded that nobody uses.
const defaultKeepAlive = 5 * time.Minute

// load tells when a model is loaded, which begins now if need be, and counts one more use. The caller has locked.
func (e *Engine) load(name string, now time.Time) time.Time {
	m := e.models[name]
	if m.expires != nil {
		m.expires.Stop()
		m.expires = nil
	}
	if m.ready.IsZero() {
		m.ready = now.Add(e.config.Load)
	}
	m.busy++
	return m.ready
}

// release counts one use less. A model that nobody uses is unloaded after a while, which the request may have set: at once with zero, never
// with a negative one. Only where loading costs time does it matter. The caller has locked.
func (e *Engine) release(name string, keep *time.Duration) {
	m := e.models[name]
	m.busy--
	if keep != nil {
		m.idle = *keep
	}
	if m.busy > 0 || e.config.Load == 0 || m.idle < 0 {
		return
	}
	if m.idle == 0 {
		m.ready = time.Time{}
		return
	}
	m.expires = time.AfterFunc(m.idle, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if m.busy == 0 {
			m.ready = time.Time{}
		}
	})
}

// loaded reports whether a model can be used without waiting. The caller has locked.
func (e *Engine) loaded(name string, now time.Time) bool {
	m := e.models[name]
	return e.config.Load == 0 || !m.ready.IsZero() && !m.ready.After(now)
}
